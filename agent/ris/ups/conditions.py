"""Translates a query's matching keys to SQL conditions on the index of values.

The results are then matched exactly (`agent.ris.ups.matching`): a condition may select too many workitems,
never too few.

Source: PS3.4 C.2.2.2 (attribute matching).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, false, func, or_

from agent.database.workitems import WorkitemValue
from agent.ris.ups.index import LONGEST, comparable, is_indexed, path_number
from agent.ris.ups.matching import NO_WILD_CARDS, MatchingKey, ends_of, moment_of

_VALUE = WorkitemValue.value
# Sorts after every text that begins with the same characters.
_LAST = chr(0x10FFFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexKey:
    """The condition on a row with this path; `exact`: it is equivalent to matching the key."""

    path: int
    condition: ColumnElement[bool]
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexKeys:
    """The keys that the index knows; `exact`: a workitem with a row for each of them matches the query."""

    keys: tuple[IndexKey, ...]
    exact: bool


def index_keys(matching: Iterable[MatchingKey]) -> IndexKeys:
    """Return the conditions for the keys that exclude anything."""
    found: list[IndexKey] = []
    exact = True
    for key in matching:
        leaves = list(_leaves(key, ()))
        known = [one for one in leaves if one is not None]
        # Several keys of a sequence must match in one item, but the rows do not show which item they belong
        # to.
        exact = exact and len(known) == len(leaves) == 1 and known[0].exact
        found += known
    return IndexKeys(keys=tuple(found), exact=exact)


def _leaves(key: MatchingKey, before: tuple[str, ...]) -> Iterator[IndexKey | None]:
    """The keys nested in a key; None for one that the index does not know."""
    path = (*before, key.name)
    if not key.selects:
        return
    if not is_indexed(key.name, key.vr):
        yield None
        return
    if key.vr == "SQ":
        for one in key.inner:
            yield from _leaves(one, path)
        return
    conditions = [_condition(key.vr, one) for one in key.wanted]
    yield IndexKey(
        path=path_number(path),
        condition=or_(*(condition for condition, _ in conditions)),
        exact=all(exact for _, exact in conditions),
    )


def _condition(vr: str, wanted: str) -> tuple[ColumnElement[bool], bool]:
    """The condition on a value, and whether it is exact."""
    if vr == "DT":
        first, last = ends_of(vr, wanted) or (wanted, wanted)
        return _between_moments(first, last), True
    if (ends := ends_of(vr, wanted)) is not None:
        return and_(ends[0] <= _VALUE, ends[1] + _LAST > _VALUE if ends[1] else _VALUE >= ""), True
    text = comparable(vr, wanted) or ""
    if vr in NO_WILD_CARDS or not re.search(r"[*?]", text):
        return _VALUE.in_([text[:LONGEST]]), len(text) < LONGEST
    return _like(text), False


def _between_moments(first: str, last: str) -> ColumnElement[bool]:
    earliest, latest = moment_of(first, last=False), moment_of(last, last=True)
    if (first and earliest is None) or (last and latest is None):
        return false()
    bounds = [earliest.isoformat(timespec="microseconds") <= _VALUE] if earliest is not None else []
    if latest is not None:
        bounds.append(latest.isoformat(timespec="microseconds") >= _VALUE)
    return and_(*bounds) if bounds else _VALUE >= ""


def _like(wanted: str) -> ColumnElement[bool]:
    """Compare with a text in which `*` and `?` are wildcards. The end of a truncated value is unknown."""
    beginning = re.split(r"[*?]", wanted, maxsplit=1)[0][:LONGEST]
    escaped = re.sub(r"([%_\\])", r"\\\1", wanted).replace("*", "%").replace("?", "_")
    fits = or_(_VALUE.like(escaped, escape="\\"), func.length(_VALUE) == LONGEST)
    # The range lets the database use its index.
    return and_(beginning <= _VALUE, beginning + _LAST > _VALUE, fits) if beginning else fits
