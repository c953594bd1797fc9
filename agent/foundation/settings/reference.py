"""The settings as a document and as plain values, both generated from the models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sqlalchemy.engine import make_url

from agent.foundation.settings.shape import model_of
from agent.foundation.settings.tree import Settings

HEAD = """# Settings

Made by `echo-agent config reference`; a test compares the two.

The file is YAML, with one section for each heading below. `ECHO_AGENT_<SECTION>__<KEY>` in the environment
overrides the file: `ECHO_AGENT_LISTENER__PORT=104` sets `listener.port`; a list or a section is given as
JSON. An unknown key is an error. `echo-agent config check` lists everything that is wrong;
`echo-agent config show` prints the settings in force. SIGHUP makes a running process check the file
and restart with it.
"""


def reference() -> str:
    """Return docs/settings.md."""
    parts = [HEAD]
    for name, field in Settings.model_fields.items():
        parts.append(f"\n## {name}\n\n{_about(field)}\n\n")
        model = model_of(field.annotation)
        if model is None:
            parts.append(f"Default: `{_default(field)}`\n")
            continue
        parts.append("| key | type | default | meaning |\n|---|---|---|---|\n")
        parts.extend(_rows(model, f"{name}[]" if _is_list(field) else name))
    return "".join(parts)


def masked(settings: Settings) -> dict[str, Any]:
    """Return the settings in force as plain values, without secrets."""
    values: dict[str, Any] = settings.model_dump(mode="json")
    url = make_url(settings.database.url)
    values["database"]["url"] = url.render_as_string(hide_password=True)
    if values["log"]["hash_key"]:
        values["log"]["hash_key"] = "***"
    for secret in ("session_key", "metrics_token"):
        if values["web"][secret]:
            values["web"][secret] = "***"
    for holder in (values["ups"], *values["ups"]["permissions"]):
        if holder["token"]:
            holder["token"] = "***"
    return values


def _rows(model: type[BaseModel], path: str) -> Iterator[str]:
    for key, field in model.model_fields.items():
        inner = model_of(field.annotation)
        if inner is not None:
            yield from _rows(inner, f"{path}.{key}[]" if _is_list(field) else f"{path}.{key}")
            continue
        text = (field.description or "").replace("|", "\\|")
        yield f"| `{path}.{key}` | {_type_name(field.annotation)} | {_default_cell(field)} | {text} |\n"


def _about(field: FieldInfo) -> str:
    model = model_of(field.annotation)
    own = (model.__doc__ or "").strip().split("\n")[0] if model is not None else ""
    return " ".join(part for part in (own, field.description or "") if part)


def _is_list(field: FieldInfo) -> bool:
    return getattr(field.annotation, "__origin__", None) in (tuple, list)


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type_name(get_args(annotation)[0])
    if isinstance(annotation, type) and not get_args(annotation):
        names = {
            "str": "text",
            "SecretStr": "text",
            "int": "whole number",
            "float": "number",
            "bool": "true or false",
        }
        return names.get(annotation.__name__, annotation.__name__.lower())
    parts = [part for part in get_args(annotation) if part is not type(None) and part is not Ellipsis]
    if parts and all(isinstance(part, str) for part in parts):
        return "one of " + ", ".join(f"`{part}`" for part in parts)
    if getattr(annotation, "__origin__", None) in (tuple, list):
        return f"list of {_type_name(parts[0])}"
    if getattr(annotation, "__origin__", None) is dict:
        return f"{_type_name(parts[0])} to {_type_name(parts[1])}"
    return " or ".join(_type_name(part) for part in parts)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return "" if value is PydanticUndefined else str(value)


def _default_cell(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), "") or value == SecretStr(""):
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
