"""The gate before the network: an image without a film never passes, an implausible one is marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset

from agent.foundation.errors import NoUsableImage, UnreadableImage
from agent.foundation.image_errors import ImageNotPlausible
from agent.objects.films.plausibility.gate import check, marks_on
from agent.objects.films.study import read_study
from agent.objects.pixels import StudyImage
from model.drafts.study import View
from model.phantom.draw import draw_spec
from model.phantom.film import render
from scripts import not_a_chest
from tests.support.films import chest_film, chest_pixels, file_bytes

Pixels = NDArray[np.uint8]
# A white image with a strip of a film at one side.
MOSTLY_WHITE = np.where(np.arange(256) < 243, 255, chest_pixels()).astype(np.uint8)


def image(pixels: Pixels, view: View = "frontal", **measured: float) -> StudyImage:
    """A decoded image with these pixels."""
    return StudyImage(pixels=pixels, view=view, header=Dataset(), **measured)  # type: ignore[arg-type]


def saved(folder: Path, number: int, **attributes: object) -> Path:
    """A chest film of a study, saved as a file."""
    path = folder / f"{number}.dcm"
    path.write_bytes(file_bytes(chest_film(SOPInstanceUID=f"1.2.3.1.{number}", **attributes)))
    return path


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (image(chest_pixels()[:200, :200]), "image-too-small"),
        (image(np.zeros((1, 1), np.uint8)), "image-too-small"),
        (image(np.tile(chest_pixels(), (4, 1))), "image-too-oblong"),
        (image(np.zeros((300, 300), np.uint8)), "image-constant"),
        (image((chest_pixels() // 64).astype(np.uint8)), "image-constant"),
        (image(np.where(chest_pixels() > 245, chest_pixels(), 0)), "image-constant"),
        (image(MOSTLY_WHITE), "image-saturated"),
        (image(chest_pixels(), wrapped=0.05), "image-wrapped"),
        (image(chest_pixels(), exposed=0.1), "image-unexposed"),
    ],
)  # fmt: skip
def test_gate_refuses_with_a_code_of_its_own(refused: StudyImage, code: str) -> None:
    """Each kind of image without content has an error code and a remedy."""
    with pytest.raises(ImageNotPlausible) as caught:
        check(refused, least_px=256)
    assert caught.value.code == code
    assert caught.value.hint


def test_gate_lets_a_film_pass_unmarked() -> None:
    """An upright positive film is not marked."""
    check(image(chest_pixels()), least_px=256)
    assert marks_on(image(chest_pixels())) == ()


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (lambda film: 255 - film, "looks_inverted"),
        (lambda film: film[::-1, ::-1], "looks_upside_down"),
        (lambda film: film[::-1], "looks_upside_down"),
        (lambda film: np.rot90(film), "looks_turned"),
        (lambda film: np.rot90(255 - film, 3), "looks_inverted"),
    ],
)
def test_film_that_lies_wrong_is_marked(changed: object, code: str) -> None:
    """A negative and a rotated film are marked, and not corrected silently."""
    film = np.ascontiguousarray(changed(chest_pixels()))  # type: ignore[operator]
    assert code in {mark.code for mark in marks_on(image(film))}


def test_noise_looks_like_no_chest() -> None:
    """Noise gets this mark only."""
    noise = np.random.default_rng(3).integers(0, 255, (256, 256)).astype(np.uint8)
    assert [mark.code for mark in marks_on(image(noise))] == ["looks_no_chest"]


def test_what_is_no_frontal_chest_film_is_marked() -> None:
    """Nearly all new drawings of other regions, slices, writing, partial and lateral films are marked."""
    rng = np.random.default_rng(20261205)
    films = [(render(draw_spec(seed), "frontal", 256) >> 4).astype(np.uint8) for seed in range(7000, 7010)]
    laterals = [(render(draw_spec(seed), "lateral", 256) >> 4).astype(np.uint8) for seed in range(7000, 7010)]
    others = [draw(rng) for draw in not_a_chest.DRAWN for _ in range(10)]
    others += [not_a_chest.part(film, rng) for film in films] + laterals
    marked = ["looks_no_chest" in {mark.code for mark in marks_on(image(one))} for one in others]
    assert sum(marked) >= 0.9 * len(others)
    assert [one for one in films if marks_on(image(one))] == []


def test_blank_image_is_left_out_where_another_can_stand_in(tmp_path: Path) -> None:
    """A newer black exposure is left out, the film before it is read, and the reader is informed."""
    paths = [saved(tmp_path, 1), saved(tmp_path, 2, PixelData=bytes(65536))]
    read = read_study(paths, least_px=256)
    assert [str(one.header.SOPInstanceUID) for one in read.images] == ["1.2.3.1.1"]
    assert [mark.code for mark in read.marks] == ["images_left_out"]
    assert [(line.read, "without content" in line.why) for line in read.lines] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("attributes", "error"),
    [
        ({"PixelData": bytes(65536)}, ImageNotPlausible),
        ({"Rows": 1, "Columns": 1, "PixelData": b"\x10\x00"}, ImageNotPlausible),
        (
            {
                "BitsAllocated": 16, "BitsStored": 10, "HighBit": 9,
                "PixelData": (chest_pixels().astype("<u2") * 16).tobytes(),
            },
            UnreadableImage,
        ),
        ({"SeriesDescription": "Chest PA bone"}, NoUsableImage),
    ],
)  # fmt: skip
def test_study_without_a_film_fails_visibly(
    tmp_path: Path, attributes: dict[str, object], error: type[Exception]
) -> None:
    """A blank image, one of a single pixel, and ten bits declared out of twelve are errors."""
    with pytest.raises(error):
        read_study([saved(tmp_path, 1, **attributes)], least_px=256)


def test_window_that_shows_nothing_is_ignored_and_said(tmp_path: Path) -> None:
    """The data's own range is shown instead, with a mark."""
    read = read_study([saved(tmp_path, 1, WindowCenter="9000", WindowWidth="10")], least_px=256)
    assert [mark.code for mark in read.marks] == ["window_ignored"]
    assert float(read.images[0].pixels.std()) > 20


def test_real_films_that_look_wrong_are_marked(shared_data: Path) -> None:
    """Real films are marked when rotated or as negatives, and not marked as they are."""
    missed = []
    for name in ("000001-2.jpg", "16672_1_1.jpg", "covid-19-pneumonia-19.jpg"):
        film = np.asarray(Image.open(shared_data / "10_cxr_images" / name).convert("L"))
        small = np.asarray(Image.fromarray(film).resize((512, 512), Image.Resampling.BOX))
        wrong = {
            "looks_inverted": 255 - small,
            "looks_upside_down": np.ascontiguousarray(small[::-1, ::-1]),
            "looks_turned": np.ascontiguousarray(np.rot90(small)),
        }
        missed += [
            (name, code) for code, one in wrong.items() if code not in {m.code for m in marks_on(image(one))}
        ]
        missed += [(name, mark.code) for mark in marks_on(image(small))]
    assert missed == []
