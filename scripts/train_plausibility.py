"""Makes `agent/films/plausibility/template.json` from frontal films, and measures it on others.

    python scripts/train_plausibility.py FOLDER            measures the template that is there
    python scripts/train_plausibility.py FOLDER --write    makes a new one first

FOLDER holds images of upright, positive chest films with `notes.csv` beside them (filename, view). Which
films are kept for the measurement is decided by the hash of their names, before anybody looks.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import minimize

from agent.films.plausibility.looks import looks_of
from agent.films.plausibility.template import POSITIONS, SIZE, Template, likeness, ranks_of
from model.phantom.draw import draw_spec
from model.phantom.film import render

TARGET = Path(__file__).resolve().parent.parent / "agent" / "films" / "plausibility" / "template.json"
PHANTOMS, COPIES, SEED, STRENGTH = 200, 24, 20261128, 0.02
Film = NDArray[np.uint8]


def kept_for_measurement(name: str) -> bool:
    """Whether a film is for the last measurement only."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 3 == 0


def films(folder: Path, *, kept: bool) -> dict[str, Film]:
    """Return the frontal films of one part, uint8, by name."""
    with (folder / "notes.csv").open(encoding="utf-8") as file:
        views = {row["filename"]: row["view"] for row in csv.DictReader(file)}
    names = [
        one for one, view in views.items() if not view.upper().startswith("L") and (folder / one).exists()
    ]
    return {
        one: np.asarray(Image.open(folder / one).convert("L"))
        for one in sorted(names)
        if kept_for_measurement(one) is kept
    }


def phantoms(first: int, count: int) -> list[Film]:
    """Return frontal phantoms of 256 pixels, uint8."""
    return [
        (render(draw_spec(seed), "frontal", 256) >> 4).astype(np.uint8)
        for seed in range(first, first + count)
    ]


def varied(film: Film, rng: np.random.Generator) -> Film:
    """Return a film as another room would have taken it: tilted, cropped, darker, with a border."""
    image = Image.fromarray(film).resize((192, 192), Image.Resampling.BOX)
    image = image.rotate(float(rng.normal(0, 3)), Image.Resampling.BILINEAR, fillcolor=int(film.min()))
    cut = rng.uniform(0, 0.1, 4) * 192
    image = image.crop((int(cut[0]), int(cut[1]), int(192 - cut[2]), int(192 - cut[3])))
    values = 255 * (np.asarray(image, dtype=np.float64) / 255) ** rng.uniform(0.6, 1.7)
    if rng.random() < 0.3:
        side = int(rng.integers(4, 14))
        values = np.pad(values, side, constant_values=float(rng.choice([0.0, 255.0])))
    if rng.random() < 0.3:
        row, column = (int(one) for one in rng.integers(0, [values.shape[0] - 12, values.shape[1] - 12]))
        values[row : row + 10, column : column + 10] = 255
    return values.astype(np.uint8)


def moved(film: Film, quarters: int, mirrored: bool, inverted: bool) -> Film:
    """Return a film turned, mirrored, and as a negative."""
    film = np.rot90(film[:, ::-1] if mirrored else film, quarters)
    return np.ascontiguousarray(255 - film if inverted else film)


def trained(examples: Sequence[Film], weights: Sequence[float]) -> Template:
    """Return the logistic regression over the sixteen positions: the upright one is right."""
    ranks = np.array([ranks_of(one) for one in examples])
    turns = [(one.quarters, one.mirrored) for one in POSITIONS[:8]]
    every = [np.rot90(ranks[:, :, ::-1] if mirror else ranks, times, axes=(1, 2)) for times, mirror in turns]
    stacked = np.stack(every).reshape(8, len(ranks), -1)
    stacked = np.concatenate([stacked, -stacked])  # [16, N, 576]
    share = np.asarray(weights) / np.sum(weights)

    def cost(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        products = stacked @ flat  # [16, N]
        top = products.max(axis=0)
        shares = np.exp(products - top)
        total = shares.sum(axis=0)
        shares /= total
        loss = float((share * (np.log(total) + top - products[0])).sum()) + STRENGTH * float(flat @ flat)
        shares[0] -= 1
        return loss, np.einsum("pn,pnk->k", shares * share, stacked) + 2 * STRENGTH * flat

    found = minimize(cost, np.zeros(SIZE * SIZE), jac=True, method="L-BFGS-B", options={"maxiter": 400})
    flat = np.round(found.x, 4)
    return Template(weights=flat.reshape(SIZE, SIZE), scale=float(np.median(stacked[0] @ flat)))


def made(folder: Path) -> Template:
    """Return the template from the films that are not kept for the measurement, and from phantoms."""
    rng = np.random.default_rng(SEED)
    real = films(folder, kept=False)
    drawn = phantoms(0, PHANTOMS)
    examples = [varied(one, rng) for one in real.values() for _ in range(COPIES)] + [
        varied(one, rng) for one in drawn
    ]
    # All phantoms together weigh a quarter of the real films.
    weights = [1.0] * (len(real) * COPIES) + [len(real) * COPIES / PHANTOMS / 4] * len(drawn)
    return trained(examples, weights)


def measured(name: str, group: Sequence[Film], template: Template) -> None:
    """Print how many films of a group are marked as what, in every position."""
    marked: dict[str, list[int]] = {}
    for film in group:
        for one in POSITIONS:
            looks = looks_of(likeness(moved(film, one.quarters, one.mirrored, one.inverted), template))
            codes = {mark.code for mark in looks}
            # A half turn of a mirrored film is the same as a film turned over its lower edge.
            truth = {
                "looks_inverted": one.inverted,
                "looks_upside_down": one.quarters == 2,
                "looks_turned": one.quarters % 2 == 1,
                "looks_mirrored": one.mirrored and one.quarters % 2 == 0,
            }
            for code, is_so in truth.items():
                counts = marked.setdefault(code, [0, 0, 0, 0])
                counts[0 if is_so else 2] += code in codes
                counts[1 if is_so else 3] += 1
            plain = marked.setdefault("any mark on an upright film", [0, 0, 0, 0])
            if one == POSITIONS[0]:
                plain[2] += bool(codes)
                plain[3] += 1
    print(f"{name}: {len(group)} films")
    for code, (right, of, false, among) in marked.items():
        print(f"  {code}: sensitivity {right}/{of}, false alarms {false}/{among}")


def main() -> None:
    """Make the template where asked, and measure it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="make a new template")
    parser.add_argument("--final", action="store_true", help="measure on the films kept for it")
    options = parser.parse_args()
    if options.write:
        template = made(options.folder)
        text = json.dumps({"scale": round(template.scale, 4), "weights": template.weights.tolist()})
        TARGET.write_text(text + "\n", encoding="utf-8")
    stored = json.loads(TARGET.read_text(encoding="utf-8"))
    template = Template(weights=np.asarray(stored["weights"]), scale=float(stored["scale"]))
    measured("made from", list(films(options.folder, kept=False).values()), template)
    measured("phantoms never used", phantoms(5000, 60), template)
    if options.final:
        measured("kept for the measurement", list(films(options.folder, kept=True).values()), template)


if __name__ == "__main__":
    main()
