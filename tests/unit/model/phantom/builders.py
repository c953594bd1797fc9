"""Small builders of phantom studies for the tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.findings.types import Finding, Laterality, Presence, Severity
from model.phantom import PhantomSpec, draw_spec, render
from model.phantom.spec import View


def present(
    concept: str,
    laterality: Laterality | None = None,
    location: str | None = None,
    severity: Severity | None = None,
) -> Finding:
    """A present finding."""
    return Finding(
        concept=concept,
        presence=Presence.PRESENT,
        laterality=laterality,
        location=location,
        severity=severity,
    )


def spec_with(*findings: Finding, seed: int = 7) -> PhantomSpec:
    """The body and exposure of a seed, with exactly these findings and without noise."""
    spec = draw_spec(seed)
    return replace(spec, findings=findings, exposure=replace(spec.exposure, noise=0.0))


def change(*findings: Finding, view: View = "frontal", seed: int = 7) -> NDArray[np.float64]:
    """The effect of the findings on a film at 168 px: brightness with minus without, share of full scale."""
    with_them = render(spec_with(*findings, seed=seed), view, 168).astype(float)
    return (with_them - render(spec_with(seed=seed), view, 168)) / 4095
