"""Procedural chest radiographs: the images, reports and true findings that the demonstration model learns
from.

They teach nothing about patients: with them every stage can be trained, tested and shown anywhere, from just
a seed.
"""

from model.phantom.dictation import dictated_report
from model.phantom.draw import draw_spec
from model.phantom.example import PhantomExample, training_example
from model.phantom.film import FULL_SCALE, render, stored_pixels
from model.phantom.spec import PHANTOM_CONCEPTS, PhantomSpec

__all__ = [
    "FULL_SCALE",
    "PHANTOM_CONCEPTS",
    "PhantomExample",
    "PhantomSpec",
    "dictated_report",
    "draw_spec",
    "render",
    "stored_pixels",
    "training_example",
]
