"""Findings on an earlier film: "the previous study showed consolidation", "on the prior there was one".

They are not findings of this study, unless the same sentence says how they have changed.
"""

from __future__ import annotations

from model.findings.scope.scope import Scope
from model.findings.spans import Marked, Span
from model.findings.text.tokens import words_of

EARLIER_FILM = "earlier film"
_REACH = 5  # words between "previous" and "showed"
_STOPS = frozenset((";", ".", ","))


def shown_before(marked: Marked) -> list[Scope]:
    """The scopes of such words, each up to the end of its clause."""
    pack, words = marked.pack.words, marked.words
    if not pack["showed"] or pack["prior_films"].isdisjoint(marked.bag):
        return []
    found = []
    for index, word in enumerate(words):
        if word not in pack["prior_films"] or pack["this_film"].intersection(words[:index]):
            continue
        begin = _showed(marked, index)
        if begin:
            cue = Span("before:historical", EARLIER_FILM, index, begin)
            found.append(Scope(cue, "historical", begin, _end(marked, begin), True))
    return found


def _showed(marked: Marked, index: int) -> int:
    """Where the description of the earlier finding begins; 0 if there is none."""
    pack, words = marked.pack.words, marked.words
    located = bool(pack["at"].intersection(words[max(0, index - 2) : index]))
    for at in range(index + 1, min(len(words), index + _REACH + 1)):
        for phrase in pack["showed"]:
            verb = words_of(phrase)
            needs_place = len(verb) > 1  # "on the prior there was", never "compared to the prior there was"
            if words[at : at + len(verb)] == verb and (located or not needs_place):
                return at + len(verb)
        if words[at] in _STOPS - {","} or words[at] in pack["verbs"]:
            return 0
    return 0


def _end(marked: Marked, begin: int) -> int:
    pack, words = marked.pack.words, marked.words
    stops = _STOPS | pack["walls"] | pack["this_film"] | pack["relatives"]
    return next((i for i in range(begin, len(words)) if words[i] in stops), len(words))
