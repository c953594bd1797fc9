"""The word order of a checkpoint's training text: pairs of words that never occur in it.

One-step decoding breaks the order of words, not the words. If a pair should have occurred many times by
chance and never did, that is no accident of a small sample: "the of", "left large". For a network trained on
free text this is learned from the same text (`echo-model word-order`), and stored with the weights.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

FILE = "word_order.json"
_WORD = re.compile(r"[^\W\d_]+|[.,;:]")
_EXPECTED = 4.0  # times that a pair should have occurred by chance alone
_END = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class WordOrder:
    """Counts of words, and the pairs of neighbours that were seen; `total` is the number of words."""

    counts: dict[str, int]
    pairs: frozenset[tuple[str, str]]
    total: int

    def strange_pair(self, sentence: str) -> str:
        """The first pair of neighbours that would be expected in the training text but never occurs in
        it; "" for none.
        """
        words = words_of(sentence)
        for first, second in pairwise(words):
            expected = self.counts.get(first, 0) * self.counts.get(second, 0) / max(1, self.total)
            if expected >= _EXPECTED and (first, second) not in self.pairs:
                return f"{first} {second}"
        return ""

    def save(self, directory: Path) -> Path:
        """Write it next to the weights of a checkpoint."""
        followers: dict[str, list[str]] = {}
        for first, second in sorted(self.pairs):
            followers.setdefault(first, []).append(second)
        file = directory / FILE
        file.write_text(
            json.dumps({"counts": self.counts, "followers": followers}, ensure_ascii=False), "utf-8"
        )
        return file


def learn_word_order(texts: Iterable[str]) -> WordOrder:
    """The word order of a training text: one report, or one sentence, at a time."""
    counts: Counter[str] = Counter()
    pairs: set[tuple[str, str]] = set()
    for text in texts:
        words = words_of(text)
        counts.update(words)
        pairs.update(pairwise(words))
    return WordOrder(counts=dict(counts), pairs=frozenset(pairs), total=counts.total())


def load_word_order(directory: Path) -> WordOrder | None:
    """The word order learned for a checkpoint; None if nothing was."""
    file = directory / FILE
    if not file.is_file():
        return None
    data = json.loads(file.read_text("utf-8"))
    pairs = frozenset((first, second) for first, listed in data["followers"].items() for second in listed)
    return WordOrder(counts=data["counts"], pairs=pairs, total=sum(data["counts"].values()))


def words_of(text: str) -> list[str]:
    """The words and punctuation of a text in lower case, with a full stop at its end."""
    words = [word.lower() for word in _WORD.findall(text)]
    return words if words and words[-1] == _END else [*words, _END]
