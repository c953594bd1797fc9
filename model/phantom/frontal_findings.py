from __future__ import annotations
import numpy as np


def lesions(spec, chest):
    return np.zeros_like(chest.x)


def collapse(spec, chest, air, markings):
    return air, 0.05 * markings
