"""The ECHO_AGENT_* variables: which of them are settings, and which are misspelt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from agent.foundation.settings.problems import suggestion
from agent.foundation.settings.shape import model_of, section_at

PREFIX = "ECHO_AGENT_"
# Variables that are not settings: the file's path, full error texts, a test's failpoint, completion.
OTHERS = ("CONFIG", "DEBUG", "FAILPOINT", "COMPLETE")


def misspelt(names: Iterable[str], root: type[BaseModel]) -> Iterator[str]:
    """Yield what is wrong with the names of variables: a misspelt one would silently do nothing."""
    sections = list(root.model_fields)
    for name in sorted(names):
        rest = name.upper().removeprefix(PREFIX)
        if rest == name.upper() or rest in OTHERS:
            continue
        head, *inner = rest.lower().split("__")
        if head in sections:
            yield from _misspelt_key(name, head, inner, root)
            continue
        single = next((one for one in sections if head.startswith(f"{one}_")), None)
        if single is not None and not inner:
            meant = f"{PREFIX}{single}__{head.removeprefix(f'{single}_')}".upper()
            yield f"{name}: two underscores stand between section and key; did you mean `{meant}`?"
        else:
            yield f"{name}: there is no section `{head}`; {suggestion(head, sections)}"


def _misspelt_key(name: str, head: str, inner: list[str], root: type[BaseModel]) -> Iterator[str]:
    place: list[str] = [head]
    for key in inner:
        section = section_at(root, place)
        if section is None or key not in section.model_fields:
            known = [] if section is None else list(section.model_fields)
            yield f"{name}: there is no such setting; {suggestion(key, known)}"
            return
        place.append(key)
        if model_of(section.model_fields[key].annotation) is None:
            continue
