"""Draws phantom studies: a body, an exposure, and findings that can occur together."""

from __future__ import annotations

import numpy as np

from model.findings.types import Finding, Laterality, Presence, Severity
from model.phantom.spec import Body, Exposure, PhantomSpec

_NORMAL_SHARE = 0.27
_MONOCHROME1_SHARE = 0.25
_LATERAL_SHARE = 0.70
_COUNTS, _COUNT_SHARES = (1, 2, 3, 4), (0.24, 0.31, 0.25, 0.20)

_LEFT, _RIGHT, _BILATERAL = Laterality.LEFT, Laterality.RIGHT, Laterality.BILATERAL
_ZONES = ("upper_zone", "mid_zone", "lower_zone")
_SEVERITIES = tuple(Severity)

# How often each finding is drawn, relative to the others. They claim their place in the chest in this order:
# findings that hide much come first.
_WEIGHTS = {
    "pleural_effusion": 1.2,
    "pneumothorax": 1.0,
    "elevated_diaphragm": 0.9,
    "pacemaker": 0.9,
    "pulmonary_edema": 1.2,
    "hilar_enlargement": 1.0,
    "cardiomegaly": 1.2,
    "consolidation": 1.1,
    "mass": 1.0,
    "atelectasis": 1.1,
    "nodule": 1.2,
    "widened_mediastinum": 0.9,
    "rib_fracture": 0.9,
    "endotracheal_tube": 1.9,
    "central_line": 1.0,
}


def draw_spec(seed: int) -> PhantomSpec:
    """The phantom study of a seed (any integer from 0); the same seed always gives the same study.

    About 27 % of studies have no finding; the others have one to four. No two findings
    contradict or hide each other, and no concept occurs twice.
    """
    rng = np.random.default_rng([seed, 0])
    findings = () if rng.random() < _NORMAL_SHARE else _draw_findings(rng)
    return PhantomSpec(
        seed=seed,
        body=_draw_body(rng),
        exposure=Exposure(
            gain=rng.uniform(0.88, 1.12), level=rng.uniform(-0.05, 0.05), noise=rng.uniform(0.008, 0.02)
        ),
        photometric="MONOCHROME1" if rng.random() < _MONOCHROME1_SHARE else "MONOCHROME2",
        has_lateral=bool(rng.random() < _LATERAL_SHARE),
        findings=findings,
    )


def _draw_body(rng: np.random.Generator) -> Body:
    return Body(
        sex="F" if rng.random() < 0.5 else "M",
        age=int(rng.integers(18, 96)),
        chest_width=rng.uniform(0.345, 0.395),
        apex=rng.uniform(0.085, 0.125),
        diaphragm=rng.uniform(0.70, 0.78),
        fat=float(rng.beta(2, 3)),
        heart_ratio=rng.uniform(0.40, 0.46),
        tilt=float(np.clip(rng.normal(0, 0.018), -0.04, 0.04)),
        rotation=float(np.clip(rng.normal(0, 0.005), -0.012, 0.012)),
        shift=(float(rng.normal(0, 0.008)), float(rng.normal(0, 0.008))),
    )


def _draw_findings(rng: np.random.Generator) -> tuple[Finding, ...]:
    concepts, weights = list(_WEIGHTS), np.array(list(_WEIGHTS.values()))
    count = int(rng.choice(_COUNTS, p=_COUNT_SHARES))
    chosen = {concepts[i] for i in rng.choice(len(concepts), count, replace=False, p=weights / weights.sum())}
    if {"pulmonary_edema", "hilar_enlargement"} <= chosen:
        chosen.remove("pulmonary_edema")  # both are a large bright hilum
    if {"pulmonary_edema", "nodule"} <= chosen:
        chosen.remove("pulmonary_edema")  # a small nodule would drown
    free = _FreePlaces(rng)
    findings: list[Finding] = []
    for concept in concepts:
        if concept in chosen:
            findings += _draw_finding(concept, free, rng)
    return tuple(findings)


class _FreePlaces:
    """The parts of the chest that no finding has claimed yet: sides of the pleura, zones of the lungs."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._bases = {_LEFT, _RIGHT}
        self._zones = {(side, zone) for side in (_LEFT, _RIGHT) for zone in _ZONES}

    def take_base(self, zones: tuple[str, ...]) -> Laterality | None:
        """A side whose pleura and diaphragm are free; it claims `zones` of that lung."""
        sides = sorted(self._bases)
        if not sides:
            return None
        side = sides[self._rng.integers(len(sides))]
        self._bases.discard(side)
        self.claim(side, zones)
        return side

    def take_both_bases(self, zones: tuple[str, ...]) -> None:
        self._bases.clear()
        for side in (_LEFT, _RIGHT):
            self.claim(side, zones)

    def take_zone(self, allowed: tuple[str, ...] = _ZONES) -> tuple[Laterality, str] | None:
        places = sorted(place for place in self._zones if place[1] in allowed)
        if not places:
            return None
        place = places[self._rng.integers(len(places))]
        self._zones.discard(place)
        return place

    def claim(self, side: Laterality, zones: tuple[str, ...]) -> None:
        self._zones -= {(side, zone) for zone in zones}


def _draw_finding(concept: str, free: _FreePlaces, rng: np.random.Generator) -> list[Finding]:
    severity = _SEVERITIES[rng.integers(len(_SEVERITIES))]
    side = (_LEFT, _RIGHT)[rng.integers(2)]
    match concept:
        case "pleural_effusion":
            zones = _ZONES[{Severity.MILD: 2, Severity.MODERATE: 1, Severity.SEVERE: 0}[severity] :]
            if rng.random() < 0.3:
                free.take_both_bases(zones)
                return [_present(concept, _BILATERAL, severity=severity)]
            return [_present(concept, free.take_base(zones), severity=severity)]
        case "pneumothorax":
            taken = free.take_base(_ZONES)
            return [] if taken is None else [_present(concept, taken, severity=severity)]
        case "elevated_diaphragm":
            taken = free.take_base(("lower_zone",))
            return [] if taken is None else [_present(concept, taken)]
        case "pacemaker":
            pacemaker_side = _LEFT if rng.random() < 0.8 else _RIGHT
            free.claim(pacemaker_side, ("upper_zone",))
            return [_present(concept, pacemaker_side)]
        case "hilar_enlargement":
            return [_present(concept, (_LEFT, _RIGHT, _BILATERAL)[rng.integers(3)])]
        case "consolidation" | "mass" | "nodule" | "atelectasis":
            place = free.take_zone(("mid_zone", "lower_zone") if concept == "atelectasis" else _ZONES)
            return [] if place is None else [_present(concept, place[0], place[1])]
        case "pulmonary_edema" | "cardiomegaly":
            if concept == "cardiomegaly" and severity is Severity.SEVERE:
                free.claim(_LEFT, ("lower_zone",))  # the heart fills it
            return [_present(concept, severity=severity)]
        case "rib_fracture" | "central_line":
            return [_present(concept, side)]
        case "endotracheal_tube":
            if rng.random() < 0.5:
                return [_present(concept)]
            wrong = "right_main_bronchus"
            return [_present(concept, location=wrong), _present("malpositioned_device", location=wrong)]
        case _:
            return [_present(concept)]


def _present(
    concept: str,
    laterality: Laterality | None = None,
    location: str | None = None,
    *,
    severity: Severity | None = None,
) -> Finding:
    return Finding(
        concept=concept,
        presence=Presence.PRESENT,
        laterality=laterality,
        location=location,
        severity=severity,
    )
