from __future__ import annotations


def lateral_attenuation(spec, size):
    from model.phantom.frontal import frontal_attenuation

    return frontal_attenuation(spec, size)
