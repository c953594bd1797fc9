"""The words of the canonical report: the preferred name, the place in the report and the weight of each term.

Names are written as they appear inside a sentence (lower case unless a proper name). A concept that is
not listed here, such as a hospital's own, is worded by its name in the vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

from model.findings.vocabulary import Vocabulary

REGION_ORDER = ("thorax", "mediastinum", "lungs", "heart", "hila", "diaphragm", "pleura", "bones", "other")


class Place(NamedTuple):
    """The wording of a location: `in the left lower zone`, for both sides `in the lower zones`."""

    preposition: str
    singular: str
    plural: str
    sided: bool  # whether the side of the finding is stated with the place


# concept: (region, preferred name); the order is the order of sentences within a region.
_TERMS: dict[str, tuple[str, str]] = {
    "endotracheal_tube": ("thorax", "endotracheal tube"),
    "feeding_tube": ("thorax", "feeding tube"),
    "chest_tube": ("thorax", "chest tube"),
    "central_line": ("thorax", "central venous catheter"),
    "pacemaker": ("thorax", "pacemaker"),
    "support_device": ("thorax", "support device"),
    "malpositioned_device": ("thorax", "malpositioned device"),
    "subcutaneous_emphysema": ("thorax", "subcutaneous emphysema"),
    "widened_mediastinum": ("mediastinum", "mediastinal widening"),
    "tracheal_deviation": ("mediastinum", "tracheal deviation"),
    "pneumomediastinum": ("mediastinum", "pneumomediastinum"),
    "consolidation": ("lungs", "consolidation"),
    "pneumonia": ("lungs", "pneumonia"),
    "lung_opacity": ("lungs", "opacity"),
    "pulmonary_edema": ("lungs", "pulmonary edema"),
    "vascular_congestion": ("lungs", "vascular congestion"),
    "atelectasis": ("lungs", "atelectasis"),
    "lung_lesion": ("lungs", "lung lesion"),
    "nodule": ("lungs", "nodule"),
    "mass": ("lungs", "mass"),
    "emphysema": ("lungs", "emphysema"),
    "fibrosis": ("lungs", "fibrosis"),
    "cardiomegaly": ("heart", "cardiomegaly"),
    "hilar_enlargement": ("hila", "hilar enlargement"),
    "elevated_diaphragm": ("diaphragm", "hemidiaphragm elevation"),
    "pneumoperitoneum": ("diaphragm", "pneumoperitoneum"),
    "hernia": ("diaphragm", "hiatal hernia"),
    "pleural_effusion": ("pleura", "pleural effusion"),
    "pneumothorax": ("pleura", "pneumothorax"),
    "pleural_thickening": ("pleura", "pleural thickening"),
    "rib_fracture": ("bones", "rib fracture"),
    "fracture": ("bones", "fracture"),
}

TERM_ORDER = {concept: rank for rank, concept in enumerate(_TERMS)}

# Devices: present without a place they are "in place", and the impression does not repeat them.
DEVICES = frozenset(
    {"endotracheal_tube", "feeding_tube", "chest_tube", "central_line", "pacemaker", "support_device"}
)

# Graded by size (small, moderate, large); everything else by degree (mild, moderate, severe).
SIZED = frozenset(
    {"pleural_effusion", "pneumothorax", "nodule", "mass", "lung_lesion", "pneumoperitoneum", "hernia"}
)

# For both sides, these are in the plural.
_PLURALS = {
    "pleural_effusion": "pleural effusions",
    "pneumothorax": "pneumothoraces",
    "chest_tube": "chest tubes",
    "nodule": "nodules",
    "mass": "masses",
    "rib_fracture": "rib fractures",
    "fracture": "fractures",
}

# A plain absence that radiologists word as a normal region rather than as "no …".
NORMAL_SENTENCE = {
    "cardiomegaly": "The cardiac silhouette is normal in size.",
    "hilar_enlargement": "The hila are normal.",
}

PLACES: dict[str, Place] = {
    "upper_zone": Place("in the", "upper zone", "upper zones", True),
    "mid_zone": Place("in the", "mid zone", "mid zones", True),
    "lower_zone": Place("in the", "lower zone", "lower zones", True),
    "apex": Place("at the", "apex", "apices", True),
    "base": Place("at the", "base", "bases", True),
    "retrocardiac": Place("in the", "retrocardiac region", "retrocardiac regions", True),
    "perihilar": Place("in the", "perihilar region", "perihilar regions", True),
    "costophrenic_angle": Place("at the", "costophrenic angle", "costophrenic angles", True),
    "carina": Place("at the", "carina", "carina", False),
    "right_main_bronchus": Place("in the", "right main bronchus", "right main bronchus", False),
    "right_atrium": Place("in the", "right atrium", "right atrium", False),
    "right_ventricle": Place("in the", "right ventricle", "right ventricle", False),
    "superior_vena_cava": Place("in the", "superior vena cava", "superior vena cava", False),
    "cavoatrial_junction": Place("at the", "cavoatrial junction", "cavoatrial junction", False),
    "stomach": Place("in the", "stomach", "stomach", False),
}

# Most important first; all others follow in the order of the regions.
_BY_IMPORTANCE = (
    "pneumothorax", "malpositioned_device", "pneumoperitoneum", "pneumomediastinum", "widened_mediastinum",
    "tracheal_deviation", "pulmonary_edema", "pneumonia", "consolidation", "mass", "pleural_effusion",
    "nodule", "lung_lesion", "lung_opacity", "cardiomegaly", "atelectasis", "hilar_enlargement",
    "rib_fracture", "fracture", "elevated_diaphragm",
)  # fmt: skip
IMPORTANCE = {concept: rank for rank, concept in enumerate(_BY_IMPORTANCE)}


def name_of(concept: str, vocabulary: Vocabulary, *, bilateral: bool = False) -> str:
    """The preferred name of a concept, as inside a sentence."""
    if bilateral and concept in _PLURALS:
        return _PLURALS[concept]
    if concept in _TERMS:
        return _TERMS[concept][1]
    known = vocabulary.concepts.get(concept)
    return known.name if known is not None else concept.replace("_", " ")


def region_of(concept: str, vocabulary: Vocabulary) -> str:
    """The region of the report that states a concept; `other` for an unknown one."""
    if concept in _TERMS:
        return _TERMS[concept][0]
    known = vocabulary.concepts.get(concept)
    return known.region if known is not None and known.region in REGION_ORDER else "other"


def place_of(location: str, vocabulary: Vocabulary) -> Place:
    """The wording of a location; a hospital's own location by its name, without a side."""
    if location in PLACES:
        return PLACES[location]
    known = vocabulary.locations.get(location)
    words = known.name if known is not None else location.replace("_", " ")
    return Place("in the", words, words, False)


def is_device(concept: str, vocabulary: Vocabulary) -> bool:
    """Whether a concept is a device that can be in place."""
    known = vocabulary.concepts.get(concept)
    return concept in DEVICES or (known is not None and known.device and concept not in _TERMS)
