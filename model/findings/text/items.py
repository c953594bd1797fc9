"""Lines and items of a section: list marks, numbered items, labels and check boxes.

A line end either separates two statements or wraps one. It separates them if the line is complete: the next
word would still have fitted, the next line begins with a mark or label, or the lines are short.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_MARK = (
    r"(?:\(?\d{1,2}[.):](?!\d)|\d{1,2}-(?=[A-Za-z])|\(?[a-hA-H]\)|[A-H]\.(?=\s)|\(?(?:i{1,3}|iv|vi{0,3}|ix|x)(?:\)|\.(?-i:(?![a-z])))"
    r"|(?!-ve\b|-[^\n+]{1,80}[,;] {0,3}\+ ?[A-Za-z])"
    r"[-*#>\u2022\u25e6\u25aa\u2023\u25cf\u25cb\u00b7\u2192\u27a2\u25ba\u2713\u2714\u25a0\u2043\u2219]{1,40}"
    r"|o(?=\s))"
)
BULLET = re.compile(rf"[ \t]{{0,40}}{_MARK}[ \t]{{0,40}}(?=\S)", re.IGNORECASE)
_BOX = re.compile(
    r"\[\s?(?P<a>[xXvV\u2713\u2714*]?)\s?\]|(?P<b>[\u2610\u2611\u2612\u2705\u25a1])|\((?P<c>[ xX]?)\)(?=\s)"
)
# A number with a stop before these is an ordinal: "Fraktur der 6. Rippe links".
NO_ORDINAL = r"(?!\s{0,9}(?:Ripp|Brustw|Lendenw|Halsw|BWK|LWK|HWK|ICR|Interk|Tag))"
# An item in the middle of a line: "1) … 2) …", ". 2. …", "i) … ii) …", "• … • …", "A. … B. …".
INLINE = re.compile(
    r"\s{1,40}(?=\(?\d{1,2}\)\s?[A-Za-z])|(?<=[.;:!?])\s{0,40}(?=\d{1,2}[.)]\s{0,40}[A-Z])"
    r"|\s{1,40}(?=\(?(?:[b-h]|i{1,3}|iv|vi{0,3})\)\s)|(?<=[.;])\s{1,40}(?=[B-H]\.\s)"
    rf"|(?<=[A-Za-z])\s{{1,40}}(?=\d{{1,2}}\.{NO_ORDINAL}\s[A-Z])"
    r"|\s{1,40}(?=[\u2022\u25e6\u25aa\u2023\u25cf\u25cb\u27a2\u25ba]\s)"
)
_CONTINUES = re.compile(
    r"(?:[,:\-/(&]|(?<![:=.|\t\u2013-] )(?<![:=.|\t])\bno|\b(?:and|or|of|the|a|an|in|at|with|to|for|is|are|"
    r"was|from|by|on|within|without|versus|vs|left|right|both|bilateral|small|mild|moderate|large|new|than|as|"
    r"that|which|also|be|not|may|has|been|nor|pleural|pulmonary|lower|upper|middle|lobe|focal))$",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"(?:and|or|nor|of|in|at|with|to|is|are|was|has|which|that|but|the)\b|[a-z]{0,12}[,;)]")
_LABEL = re.compile(r"[ \t]{0,20}[A-Za-z][A-Za-z /&()-]{1,40}[ \t]{0,4}[:=](?!\d)")
# A row of a table whose columns are only spaces: "Pneumothorax   No", "Effusion   Yes".
_ROW = re.compile(r"[A-Za-z][A-Za-z ]{2,40}\b(?:yes|no|none|present|absent)[ \t.]{0,9}$", re.IGNORECASE)
_WRAP = 42  # characters; a shorter line that wraps is the exception
_DEFINITE = re.compile(r"[.!?;]\s{0,40}$")


def line_ends(text: str, begin: int, at: int, end: int, joins: Callable[[str, str], bool]) -> bool:
    """Whether the line end at `at` separates two statements. joins: whether two words belong together."""
    line = text[max(begin, text.rfind("\n", begin, at) + 1) : at].strip()
    following = text[at + 1 : min(end, at + 200)].split("\n", 1)[0]
    if (
        _LABEL.match(following)
        or BULLET.match(following)
        or _BOX.match(following.strip())
        or _DEFINITE.search(line)
    ):
        return True
    first = following.split()[:1]
    if not line or not first:
        return True
    if _ROW.match(line) and _ROW.match(following.strip()):
        return True
    if any(line.count(sign) > 1 and following.strip().count(sign) > 1 for sign in "|\t"):
        return True  # two rows of a table
    if _CONTINUES.search(line) or joins(line, following):
        return False
    begins_small = following.lstrip()[0].islower()
    if begins_small and (not line[0].islower() or _GOES_ON.match(following.lstrip())):
        return False
    return len(line) < _WRAP or not _is_full(text, begin, end, len(line) + 1 + len(first[0]))


def _is_full(text: str, begin: int, end: int, length: int) -> bool:
    """Whether the next word would have made a line longer than the longest near it."""
    near = text[max(0, begin - 300) : min(end, begin + 600)].split("\n")
    return length > max(len(line.strip()) for line in near)


def unchecked(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The text of the boxes that are not ticked, on each line of `text[begin:end]`."""
    if not any(
        sign in text[begin:end] for sign in ("[", "\u2610", "\u2611", "\u2612", "\u25a1", "( )", "(x)", "(X)")
    ):
        return
    at = begin
    while at < end:
        stop = text.find("\n", at, end)
        stop = end if stop < 0 else stop
        yield from _unchecked_of_line(text, at, stop)
        at = stop + 1


def _unchecked_of_line(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    boxes = list(_BOX.finditer(text, begin, end))
    if not boxes:
        return
    behind = not text[boxes[-1].end() : end].strip(" .;,")  # "yes [x] no [ ]": the box follows its words
    for index, box in enumerate(boxes):
        ticked = (
            bool(box["a"]) or box["b"] in ("\u2611", "\u2612", "\u2705") or (box["c"] or "").strip() != ""
        )
        if behind:
            left = boxes[index - 1].end() if index else max(begin, text.rfind(":", begin, box.start()) + 1)
            yield (box.start(), box.end()) if ticked else (left, box.end())
        else:
            right = boxes[index + 1].start() if index + 1 < len(boxes) else end
            yield (box.start(), box.end()) if ticked else (box.start(), right)
