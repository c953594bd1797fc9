""" "No change in A or B": both are present and unchanged."""

from __future__ import annotations

from model.findings.spans import Marked, Span

_LONGEST = 14  # words between two items of such a list


def is_unchanged(marked: Marked, mention: Span) -> bool:
    """Whether a mention is in the list after "no change in"."""
    pack = marked.pack.words
    for cue in marked.cues:
        if cue.kind != "pseudo" or cue.end > mention.start or mention.start - cue.end > _LONGEST:
            continue
        if not any(
            c.key == "unchanged" and c.start <= cue.start and cue.end <= c.end + 1 for c in marked.changes
        ):
            continue
        between = marked.words[cue.end : mention.start]
        led = marked.words[cue.end - 1 : cue.end + 1]
        stops = pack["walls"] | pack["verbs"] | pack["with"] | {";", ":"}
        ends = any(
            c.kind in ("end", "before:negated") and cue.end <= c.start < mention.start for c in marked.cues
        )
        if pack["at"].intersection(led) and not stops.intersection(between) and not ends:
            return True
    return False
