"""The query in a list's URL: which studies, in which order, and from which row on. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, get_args
from urllib.parse import urlencode

from agent.reports.worklist_row import NORMAL
from model.findings.vocabulary import load_vocabulary

Show = Literal["open", "verified", "rejected", "none", "all"]
Order = Literal["urgency", "waiting", "arrival", "patient", "study"]
Urgent = Literal["any", "urgent", "critical"]
SHOWS: tuple[Show, ...] = get_args(Show)
ORDERS: tuple[Order, ...] = get_args(Order)
URGENTS: tuple[Urgent, ...] = get_args(Urgent)
PAGE = 50
LONGEST_PAGE = 500
# The flags of a draft, with the labels of the filter.
FLAGS: Mapping[str, str] = {
    "after_verification": "new images after verification",
    "patient_merged": "patient merged",
    "low_confidence": "low confidence",
    "contradiction": "contradiction",
    "garbled": "garbled",
    "truncated": "truncated",
    "unread_language": "unread language",
    "prior_unread_language": "earlier report in an unread language",
    "incomplete_study": "incomplete study",
    "missing_lateral": "no lateral view",
    "missing_frontal": "no frontal view",
    "unknown_view": "view not stated",
    "view_contradiction": "views contradict each other",
    "special_view": "special view",
    "copy_read": "drafted from a lesser image",
    "images_left_out": "images left out",
    "window_ignored": "window ignored",
    "character_set_guessed": "character set guessed",
    "looks_inverted": "looks inverted",
    "looks_upside_down": "looks upside down",
    "looks_turned": "looks turned",
    "looks_mirrored": "looks mirrored",
    "looks_no_chest": "looks like no chest",
    "priors_unavailable": "priors not available",
    "conflict": "conflict of patient or image",
    "demonstration": "demonstration model",
}
Place = tuple[str | int | datetime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The selection and order of the list: `after` is the cursor of the last row that is already shown.

    reverse: the opposite order, the last row first.
    """

    show: Show = "open"
    urgent: Urgent = "any"
    order: Order = "urgency"
    finding: str = ""
    flag: str = ""
    reverse: bool = False
    search: str = ""
    after: str = ""
    limit: int = PAGE

    def address(self, **changes: str | bool) -> str:
        """Return the list's URL with these changes; from the first row unless `after` is given."""
        return "/" + self.suffix(None, **changes)

    def study(self, study_id: int, **more: str) -> str:
        """Return a study's URL, which contains the list from which it was opened."""
        return f"/studies/{study_id}{self.suffix(more)}"

    def suffix(self, more: Mapping[str, str] | None = None, **changes: str | bool) -> str:
        """Return the query part of the URL; empty for the list with its defaults."""
        query = replace(self, **({"after": ""} | changes))  # type: ignore[arg-type]
        if query.after:
            query = replace(query, limit=PAGE)
        plain = Query()
        names = {"search": "q"}
        values: dict[str, str] = {
            names.get(name, name): "1" if getattr(query, name) is True else str(getattr(query, name))
            for name in ("show", "urgent", "order", "reverse", "finding", "flag", "search", "after", "limit")
            if getattr(query, name) != getattr(plain, name)
        } | dict(more or {})
        return "?" + urlencode(values) if values else ""

    def by(self, order: Order) -> str:
        """Return the list's URL in another order; reversed if it has this order already."""
        return self.address(order=order, reverse=order == self.order and not self.reverse)


def query_of(values: Mapping[str, str]) -> Query:
    """Return the query in a URL; an invalid value counts as absent."""
    show, urgent, order = values.get("show", ""), values.get("urgent", ""), values.get("order", "")
    finding, flag = values.get("finding", ""), values.get("flag", "")
    return Query(
        show=next((one for one in SHOWS if one == show), "open"),
        urgent=next((one for one in URGENTS if one == urgent), "any"),
        order=next((one for one in ORDERS if one == order), "urgency"),
        finding=finding if finding in dict(findings()) else "",
        flag=flag if flag in FLAGS else "",
        reverse=values.get("reverse") == "1",
        search=values.get("q", "").strip()[:100],
        after=values.get("after", "")[:400],
        limit=_limit(values.get("limit", "")),
    )


def number_of(text: str) -> int:
    """Return a row's number from a form or URL; for anything else 0, which no row has."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


def findings() -> Sequence[tuple[str, str]]:
    """Return the findings available as filters, with their names, in alphabetical order."""
    concepts = load_vocabulary().concepts
    named = sorted((one.name, key) for key, one in concepts.items() if key != "no_finding")
    return [(NORMAL, "none positive"), *((key, name) for name, key in named)]


def cursor_of(place: Place) -> str:
    """Return the place of a row as a URL parameter."""
    plain = [one.isoformat() if isinstance(one, datetime) else one for one in place]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode()


def place_of(cursor: str, kinds: Sequence[type]) -> Place | None:
    """Return the place that a cursor encodes, with parts of these types; None for an invalid cursor."""
    if not cursor:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if not isinstance(parts, list) or len(parts) != len(kinds):
            return None
        place = tuple(_part(part, kind) for part, kind in zip(parts, kinds, strict=True))
    except (ValueError, TypeError, binascii.Error):
        return None
    return place


def _part(value: object, kind: type) -> str | int | datetime:
    if kind is datetime:
        moment = datetime.fromisoformat(str(value))
        if moment.tzinfo is None:
            raise ValueError("a cursor has a time zone")
        return moment
    if kind is int:
        if not isinstance(value, int) or abs(value) >= 1 << 63:
            raise ValueError("no row has this number")
        return value
    text = str(value)
    if "\0" in text:
        raise ValueError("no text contains a NUL")
    return text


def _limit(text: str) -> int:
    asked = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else PAGE
    return min(max(asked, PAGE), LONGEST_PAGE)
