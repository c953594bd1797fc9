"""The structure of the settings, read from the models: sections, keys, and what a key means. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Place = Sequence[str | int]


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field holds, itself or in a list; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = model_of(part)
        if found is not None:
            return found
    return None


def field_at(root: type[BaseModel], place: Place) -> FieldInfo | None:
    """Return the field at a place such as ("listener", "allow", 0, "address"); None where there is none."""
    model: type[BaseModel] | None = root
    field: FieldInfo | None = None
    for part in place:
        if isinstance(part, int):
            continue
        if model is None or part not in model.model_fields:
            return field if model is None else None
        field = model.model_fields[part]
        model = model_of(field.annotation)
    return field


def section_at(root: type[BaseModel], place: Place) -> type[BaseModel] | None:
    """Return the section at a place; the root for the empty place, None for a plain value or an unknown
    place.
    """
    if not place:
        return root
    field = field_at(root, place)
    return None if field is None else model_of(field.annotation)


def shown_place(place: Place) -> str:
    """Return a place as people write it: `listener.allow[0].address`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def values_of(section: BaseModel, place: Place = ()) -> Iterator[tuple[Place, BaseModel, Any]]:
    """Yield each plain value in force: its place, the section that holds it, and the value."""
    for key in type(section).model_fields:
        value = getattr(section, key)
        for where, one in _items((*place, key), value):
            if isinstance(one, BaseModel):
                yield from values_of(one, where)
            else:
                yield where, section, one


def _items(place: Place, value: Any) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, tuple):
        for number, one in enumerate(value):
            yield (*place, number), one
    else:
        yield place, value
