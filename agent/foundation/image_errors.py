"""Errors of images that belong to two branches of the tree in `agent.foundation.errors`."""

from __future__ import annotations

from agent.foundation.errors import ObjectOverBudget, UnreadableImage


class ImageOverBudget(UnreadableImage):
    """The attributes that an image is used for have more elements or items than a radiograph needs."""

    code = ObjectOverBudget.code
    hint = ObjectOverBudget.hint
