"""Trains `agent/objects/films/plausibility/template.json` on frontal films, and measures it on others.

Two models are trained: the template for position and polarity, and the regression that distinguishes a
frontal chest film from anything else, with negative examples drawn by `not_a_chest.py` and cut from the
films.

    python scripts/train_plausibility.py FOLDER            measures the template that is there
    python scripts/train_plausibility.py FOLDER --write    makes a new one first

FOLDER holds images of upright, positive chest films with `notes.csv` beside them (filename, view). The hash
of a film's name decides beforehand whether it is kept for the measurement.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import minimize

from agent.objects.films.plausibility.chest import features
from agent.objects.films.plausibility.looks import looks_of
from agent.objects.films.plausibility.template import POSITIONS, SIZE, Template, built_in, ranks_of
from model.phantom.draw import draw_spec
from model.phantom.film import render
from scripts import not_a_chest

TARGET = Path(__file__).resolve().parent.parent / "agent" / "films" / "plausibility" / "template.json"
PHANTOMS, COPIES, SEED, STRENGTH = 200, 24, 20261128, 0.02
# For the second model; its strength was chosen by cross-validation on the training films.
CHEST_PHANTOMS, CHEST_COPIES, OTHERS, CHEST_STRENGTH = 150, 30, 80, 0.1
Film = NDArray[np.uint8]


def kept_for_measurement(name: str) -> bool:
    """Whether a film is only for the final measurement."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 3 == 0


def laterals(folder: Path) -> list[Film]:
    """Return the lateral films, which are not used in training."""
    with (folder / "notes.csv").open(encoding="utf-8") as file:
        names = [row["filename"] for row in csv.DictReader(file) if row["view"].upper().startswith("L")]
    return [np.asarray(Image.open(folder / one).convert("L")) for one in names if (folder / one).exists()]


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


def phantoms(first: int, count: int, view: Literal["frontal", "lateral"] = "frontal") -> list[Film]:
    """Return phantoms of 256 pixels, uint8."""
    return [
        (render(draw_spec(seed), view, 256) >> 4).astype(np.uint8) for seed in range(first, first + count)
    ]


def varied(film: Film, rng: np.random.Generator) -> Film:
    """Return a film as if taken in another room: tilted, cropped, darker, with a border."""
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
    return Template(
        weights=flat.reshape(SIZE, SIZE),
        scale=float(np.median(stacked[0] @ flat)),
        chest_weights=np.zeros(0),
        chest_bias=0.0,
    )


def others(films_of: Sequence[Film], rng: np.random.Generator, count: int) -> dict[str, list[Film]]:
    """Return images that are not frontal chest films, by kind; `count` of each drawn kind."""
    found = {f"{draw.__name__}": [draw(rng) for _ in range(count)] for draw in not_a_chest.DRAWN}
    neighbours = [*films_of[1:], *films_of[:1]]
    found["part of a film"] = [not_a_chest.part(one, rng) for one in films_of for _ in range(20)]
    found["captured film"] = [not_a_chest.captured(one, rng) for one in films_of for _ in range(4)]
    found["two films"] = [
        not_a_chest.beside(one, other, rng)
        for one, other in zip(films_of, neighbours, strict=True)
        for _ in range(4)
    ]
    return found


def with_chest(template: Template, real: Sequence[Film], rng: np.random.Generator) -> Template:
    """Add the regression that tells frontal chest films from others."""

    def measured_of(group: Sequence[Film]) -> NDArray[np.float64]:
        return np.array([features(ranks_of(one), template) for one in group])

    chests = [varied(one, rng) for one in real for _ in range(CHEST_COPIES)]
    chests += [varied(one, rng) for one in phantoms(0, CHEST_PHANTOMS)]
    no_chests = [one for group in others(real, rng, OTHERS).values() for one in group]
    no_chests += [varied(one, rng) for one in phantoms(0, CHEST_PHANTOMS, "lateral")]
    values = np.concatenate([measured_of(chests), measured_of(no_chests)])
    sign = np.concatenate([np.ones(len(chests)), -np.ones(len(no_chests))])
    share = np.where(sign > 0, 0.5 / len(chests), 0.5 / len(no_chests))
    center, spread = values.mean(axis=0), values.std(axis=0) + 1e-6
    scaled = np.hstack([(values - center) / spread, np.ones((len(values), 1))])

    def cost(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (scaled @ flat)
        slope = -share * sign / (1 + np.exp(np.clip(margin, -50, 50)))
        loss = float((share * np.logaddexp(0, -margin)).sum()) + CHEST_STRENGTH * float(flat[:-1] @ flat[:-1])
        return loss, scaled.T @ slope + 2 * CHEST_STRENGTH * np.append(flat[:-1], 0)

    found = minimize(cost, np.zeros(scaled.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 600})
    weights = np.round(found.x[:-1] / spread, 5)
    bias = round(float(found.x[-1] - center @ weights), 5)
    return replace(template, chest_weights=weights, chest_bias=bias)


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
    return with_chest(trained(examples, weights), list(real.values()), np.random.default_rng(SEED + 1))


def measured(name: str, group: Sequence[Film], template: Template) -> None:
    """Print how many films of a group get each flag, in every position."""
    marked: dict[str, list[int]] = {}
    for film in group:
        for one in POSITIONS:
            looks = looks_of(moved(film, one.quarters, one.mirrored, one.inverted), template)
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
            chest = marked.setdefault("looks_no_chest", [0, 0, 0, 0])
            chest[2] += "looks_no_chest" in codes
            chest[3] += 1
            plain = marked.setdefault("any mark on an upright film", [0, 0, 0, 0])
            if one == POSITIONS[0]:
                plain[2] += bool(codes)
                plain[3] += 1
    print(f"{name}: {len(group)} films")
    for code, (right, of, false, among) in marked.items():
        print(f"  {code}: sensitivity {right}/{of}, false alarms {false}/{among}")


def measured_others(group: dict[str, list[Film]], template: Template) -> None:
    """Print how many images of each kind that is not a chest film are flagged so."""
    for kind, listed in group.items():
        marked = sum("looks_no_chest" in {mark.code for mark in looks_of(one, template)} for one in listed)
        print(f"  no chest, {kind}: marked {marked}/{len(listed)}")


def main() -> None:
    """Train the template if asked, and measure it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="make a new template")
    parser.add_argument("--final", action="store_true", help="measure on the films kept for it")
    options = parser.parse_args()
    if options.write:
        template = made(options.folder)
        kept = {
            "scale": round(template.scale, 4),
            "weights": template.weights.tolist(),
            "chest": {"bias": template.chest_bias, "weights": template.chest_weights.tolist()},
        }
        TARGET.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    template = built_in()
    measured("made from", list(films(options.folder, kept=False).values()), template)
    measured("phantoms never used", phantoms(5000, 60), template)
    if options.final:
        last = list(films(options.folder, kept=True).values())
        measured("kept for the measurement", last, template)
        rng = np.random.default_rng(SEED + 2)
        measured_others(others(last, rng, 100) | {"lateral film": laterals(options.folder)}, template)


if __name__ == "__main__":
    main()
