"""Plus, minus and the crossed zero as words: "+ effusion, - ptx", "eff+", "(-) ptx (+) L eff", "Ø ptx"."""

from __future__ import annotations

from collections.abc import Sequence

from model.findings.text.tokens import Token

_ZEROS = frozenset(("ø", "∅"))
# Without any of these there is nothing to do.
MARKS = frozenset(("+", "(", *_ZEROS))
_BRACKETED = {"-": False, "neg": False, "negative": False, "+": True, "pos": True, "positive": True}
_ENDS = frozenset((",", ";", "."))


def with_signs(tokens: Sequence[Token], denial: str) -> list[Token]:
    """The tokens with each sign of presence or absence as words; denial: the word of the language for it."""
    found = _with_brackets(tokens, denial) if any(t.word == "(" for t in tokens) else list(tokens)
    if denial:
        found = [
            Token(denial, t.start, t.end) if t.word in _ZEROS and _is_word(found, i + 1) else t
            for i, t in enumerate(found)
        ]
    return _with_bare_signs(found, denial) if any(t.word == "+" for t in found) else found


def _with_brackets(tokens: Sequence[Token], denial: str) -> list[Token]:
    """A sentence that begins with a bracketed sign has one before each item, any other one behind it."""
    places = [i for i in range(len(tokens) - 2) if _is_bracketed(tokens, i)]
    leads = bool(places and denial) and places[0] == 0 and _is_word(tokens, 3)
    found: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if index not in places:
            found.append(token)
            index += 1
            continue
        if leads:
            found += [Token(";", token.start, token.start)] if found else []
            if not _BRACKETED[tokens[index + 1].word]:
                found.append(Token(denial, token.start, tokens[index + 2].end))
        else:
            found += tokens[index : index + 3]
            if index != places[-1] and _is_word(tokens, index + 3):  # "effusion (+) ptx (-)"
                found.append(Token(";", tokens[index + 2].end, tokens[index + 2].end))
        index += 3
    return found


def _is_bracketed(tokens: Sequence[Token], index: int) -> bool:
    first, sign, last = tokens[index : index + 3]
    return first.word == "(" and sign.word in _BRACKETED and last.word == ")"


def _with_bare_signs(tokens: Sequence[Token], denial: str) -> list[Token]:
    """Signs without brackets. A minus in a sentence without any plus is a bullet or a dash, and never comes
    here.
    """
    found: list[Token] = []
    for i, token in enumerate(tokens):
        if _stands_before(tokens, i, "+"):
            found.append(Token(";", token.start, token.end))
        elif denial and _stands_before(tokens, i, "-"):
            found.append(Token(denial, token.start, token.end))
        elif token.word in ("+", "-") and (_is_attached(tokens, i) or _stands_behind(tokens, i)):
            answer = token.word if token.word == "+" or not denial else denial
            found += (Token(":", token.start, token.start), Token(answer, token.start, token.end))
            found.append(Token(";", token.end, token.end))
        else:
            found.append(token)
    return found


def _stands_before(tokens: Sequence[Token], index: int, sign: str) -> bool:
    """Whether a sign opens an item: at the beginning or after a sign, with a word after it."""
    if tokens[index].word != sign or not _is_word(tokens, index + 1):
        return False
    return index == 0 or tokens[index - 1].word in (",", ";", "|")


def _is_attached(tokens: Sequence[Token], index: int) -> bool:
    """Whether a sign is written at the end of a word: "ptx- eff+"."""
    token = tokens[index]
    attached = index > 0 and tokens[index - 1].end == token.start and _is_word(tokens, index - 1)
    return attached and (index + 1 == len(tokens) or tokens[index + 1].start > token.end)


def _stands_behind(tokens: Sequence[Token], index: int) -> bool:
    """Whether a sign ends an item: "effusion +", also behind a side, "Pneumothorax re. -, Erguss li. +"."""
    last = index - 1 - (index > 1 and tokens[index - 1].word in (".", ")"))
    ends = index + 1 == len(tokens) or tokens[index + 1].word in _ENDS
    return index > 0 and ends and _is_word(tokens, last)


def _is_word(tokens: Sequence[Token], index: int) -> bool:
    return 0 <= index < len(tokens) and tokens[index].word.isalpha() and tokens[index].word not in _ZEROS
