""" "Not seen on the prior", "not identified on the lateral": denials that are about another film.

A finding that was absent before is new; one that is not visible in one view may be visible in the other.
"""

from __future__ import annotations

import re

from model.findings.spans import Marked, Span

_YEAR = re.compile(r"(?:19|20)\d\d")
_REACH = 7  # words after the cue


def says_other_film(marked: Marked, cue: Span) -> bool:
    """Whether a denial after a mention is about an earlier film, or about one of two views."""
    return is_of_prior(marked, cue) or _is_of_one_view(marked, cue)


def is_of_prior(marked: Marked, cue: Span) -> bool:
    """Whether a denial is about an earlier film: "not present in 2019", "not seen on the prior"."""
    behind = _behind(marked, cue)
    pack = marked.pack.words
    if not behind:
        return False
    if behind[0] in pack["prior_films"] and not pack["this_film"].intersection(behind[:1]):
        return True
    if behind[0] not in pack["at"] or pack["this_film"].intersection(behind):
        return False
    phrase = " ".join(behind)
    dated = any(_YEAR.fullmatch(word) for word in behind) or re.search(r"\d / \d", phrase) is not None
    return dated or any(word in behind or (" " in word and word in phrase) for word in pack["prior_films"])


def _is_of_one_view(marked: Marked, cue: Span) -> bool:
    behind, pack = _behind(marked, cue), marked.pack.words
    if not behind or behind[0] not in pack["at"] or not pack["other_views"].intersection(behind):
        return False
    # Only if the same sentence says where it is seen, or measures it; otherwise the denial stands.
    before = marked.words[: cue.start]
    affirmed = any(
        word in pack["seen"]
        and index + 1 < len(before)
        and before[index + 1] in pack["at"]
        and before[max(0, index - 1)] not in pack["not"]
        for index, word in enumerate(before)
    )
    # "There is a nodule that is not seen on the lateral": a clause about a stated finding.
    affirmed = affirmed or not pack["relatives"].isdisjoint(before[-2:])
    measured = any(word[:1].isdigit() for word in before)
    return affirmed or measured


def _behind(marked: Marked, cue: Span) -> tuple[str, ...]:
    """The words after a cue up to the end of its phrase."""
    found: list[str] = []
    for word in marked.words[cue.end : cue.end + _REACH]:
        if (
            word in (",", ";", ".", ")", ":")
            or word in marked.pack.words["walls"]
            or word in marked.pack.words["and"]
        ):
            break
        found.append(word)
    return tuple(found)
