"""Finds many phrases in a sentence at once, using a tree of words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

_LABELS = ""  # no word is empty, so this is the key for the labels of a phrase that ends here


class PhraseTree:
    """Phrases as sequences of words, each with its labels; matching takes one step per word and phrase."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}
        self.words: set[str] = set()

    def add(self, words: Sequence[str], labels: Iterable[tuple[str, str, str]]) -> None:
        """Add a phrase; the labels of an already known phrase are combined."""
        if not words:
            return
        self.words.update(words)
        node = self._root
        for word in words:
            node = node.setdefault(word, {})
        node[_LABELS] = tuple(sorted({*node.get(_LABELS, ()), *labels}))

    def matches(self, words: Sequence[str]) -> list[tuple[int, int, tuple[tuple[str, str, str], ...]]]:
        """(start, end, labels) of every phrase in a sentence, including shorter ones within longer ones."""
        count = len(words)
        found = []
        for start, node in enumerate(map(self._root.get, words)):
            if node is None:
                continue
            end = start + 1
            while node is not None:
                if _LABELS in node:
                    found.append((start, end, node[_LABELS]))
                if end == count:
                    break
                node = node.get(words[end])
                end += 1
        return found
