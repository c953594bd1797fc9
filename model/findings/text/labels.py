"""Signs used like a colon after a label: "Lungs - clear", "Pleura | no effusion", "PTX......NO"."""

from __future__ import annotations

from collections.abc import Sequence

from model.findings.text.tokens import Token

_LONGEST_LABEL = 5  # tokens
# Without any of these, and without a row of dots or dashes, there is nothing to do.
SIGNS = frozenset(("|", "=", "-", "→", "~", "->", ":"))
_COLON, _COMMA = ":", ","


def labelled(tokens: Sequence[Token]) -> list[Token]:
    """The tokens with each such sign as a colon, or as a comma if no label precedes it."""
    found: list[Token] = []
    for index, token in enumerate(tokens):
        word = token.word
        if word in ("|", "=", "-", "→", "~", "--", "->") or (len(word) > 1 and set(word) <= {".", "-"}):
            if new := _sign(tokens, index, found):
                found.append(Token(new, token.start, token.end))
            continue
        if word == ":" and found and found[-1].word == ":":
            continue
        found.append(token)
    return found


def _sign(tokens: Sequence[Token], index: int, found: Sequence[Token]) -> str:
    word = tokens[index].word
    before = found[-1].word if found else ""
    after = tokens[index + 1].word if index + 1 < len(tokens) else ""
    if word == "-" and (before == "(" or after == ")"):
        return word  # "(-)": an answer
    if not before or not after or before == ":" or before == ",":
        return ""
    if word == "-" and before.isdigit() and after[:1].isdigit():
        return word
    words = [token.word for token in found]
    since = max((i for i, w in enumerate(words) if w in (",", ";", ".", "/")), default=-1) + 1
    label = words[since:]
    if len(label) <= _LONGEST_LABEL and ":" not in label and all(w.isalpha() or w in "&/()" for w in label):
        return _COLON
    return _COMMA
