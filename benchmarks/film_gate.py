"""Measures the time of a film's plausibility checks: `python -m benchmarks.film_gate`; JSON, milliseconds.

A film of 2,048 x 2,048 pixels is made once; decoding is not part of the figure.
"""

from __future__ import annotations

import json
import statistics
import time

import numpy as np
from PIL import Image
from pydicom import Dataset

from agent.objects.films.plausibility.gate import check, marks_on
from agent.objects.pixels import StudyImage
from model.phantom.draw import draw_spec
from model.phantom.film import render

SIZE, TIMES = 2048, 50


def main() -> None:
    """Measure and print."""
    small = (render(draw_spec(1), "frontal", 256) >> 4).astype(np.uint8)
    pixels = np.asarray(Image.fromarray(small).resize((SIZE, SIZE)))
    image = StudyImage(pixels=pixels, view="frontal", header=Dataset())
    spent = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        check(image, least_px=256)
        marks_on(image)
        spent.append((time.perf_counter() - begun) * 1000)
    spent.sort()
    print(
        json.dumps(
            {
                "pixels": SIZE * SIZE,
                "median_ms": round(statistics.median(spent), 2),
                "p95_ms": round(spent[int(0.95 * TIMES)], 2),
            }
        )
    )


if __name__ == "__main__":
    main()
