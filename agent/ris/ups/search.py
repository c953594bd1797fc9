"""Finds workitems: the index of values selects those that may match, and these are matched as stored.

Source: PS3.4 CC.2.8 (UPS Query), PS3.18 section 11.9 (search).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from sqlalchemy import ColumnElement

from agent.database.session import Database
from agent.database.workitems import Workitem
from agent.ris.ups.candidates import Candidates
from agent.ris.ups.conditions import index_keys
from agent.ris.ups.matching import MatchingKey, keys_of, matches, selected, selective
from agent.ris.ups.records import URGENCY
from agent.ris.ups.terms import StepState

# Without a limit the first answers come from a small batch, and later ones from larger batches.
_FIRST, _MOST = 8, 128
_STATE, _PRIORITY = "00741000", "00741200"
_STATES = frozenset(state.value for state in StepState)
_RANKS = {name.value: rank for name, rank in URGENCY.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """The requested part of the results: the first `offset` are skipped, then at most `limit` are returned.

    whole: return all attributes, not only those that the keys name.
    """

    limit: int | None = None
    offset: int = 0
    whole: bool = False


def find(database: Database, identifier: Dataset, page: PageRequest) -> Iterator[dict[str, Any]]:
    """Yield the matching workitems in DICOM JSON, urgent ones first, with the requested attributes.

    Each batch is read in a transaction of its own, so that a slow reader holds nothing open. A workitem
    whose priority changes meanwhile may be missed or come twice, as the standard allows.
    """
    keys = keys_of(identifier)
    matching = selective(keys)
    columns, others = _of_columns(matching)
    index = index_keys(others)
    # If the conditions are exact, the database itself can skip rows.
    passed = page.offset if index.exact else 0
    to_pass, left = page.offset - passed, page.limit
    first = _FIRST if left is None else max(1, min(_MOST, left + to_pass))
    for content in Candidates(columns=columns, keys=index.keys, passed=passed, first=first).read(database):
        if left == 0:
            return
        if not matches(content, matching):
            continue
        if to_pass:
            to_pass -= 1
            continue
        yield dict(content) if page.whole else selected(content, keys)
        left = None if left is None else left - 1


def _of_columns(
    matching: Sequence[MatchingKey],
) -> tuple[list[ColumnElement[bool]], list[MatchingKey]]:
    """The conditions on state and priority, which have columns, and the remaining keys."""
    conditions: list[ColumnElement[bool]] = []
    others = []
    for key in matching:
        wanted = set(key.wanted)
        if key.name == _STATE and wanted <= _STATES:
            conditions.append(Workitem.state.in_(key.wanted))
        elif key.name == _PRIORITY and wanted <= _RANKS.keys():
            conditions.append(Workitem.urgency.in_([_RANKS[one] for one in key.wanted]))
        else:
            others.append(key)
    return conditions, others
