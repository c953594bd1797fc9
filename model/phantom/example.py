"""One training example: the images of a phantom study with its two reports and its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.findings.types import Finding
from model.findings.wording import normalised_report
from model.phantom.dictation import dictated_report
from model.phantom.draw import draw_spec
from model.phantom.film import render
from model.phantom.spec import PhantomSpec, View


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomExample:
    """Images and texts of one phantom study."""

    spec: PhantomSpec
    images: NDArray[np.uint8]  # [n, size, size], bright is dense, one for each view
    views: tuple[View, ...]
    dictated: str
    normalised: str
    truth: tuple[Finding, ...]


def training_example(seed: int, size: int = 168) -> PhantomExample:
    """The example of a seed, always the same. `size` is the side of the images in pixels."""
    spec = draw_spec(seed)
    films = [render(spec, view, size) >> 4 for view in spec.views]
    return PhantomExample(
        spec=spec,
        images=np.stack(films).astype(np.uint8),
        views=spec.views,
        dictated=dictated_report(spec, spec.chance("dictate")),
        normalised=normalised_report(spec.truth).text,
        truth=spec.truth,
    )
