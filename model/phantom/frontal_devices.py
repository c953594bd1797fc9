from __future__ import annotations
import numpy as np


def devices(spec, chest):
    return np.zeros_like(chest.x)
