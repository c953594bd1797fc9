"""Questions that the next sentence answers: "Is there a pneumothorax? No." is one statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from model.findings.text.sentences import Sentence, joined

_LONGEST = 120  # characters of an answer
_NEAR = 12  # characters between a question and its answer


def with_answers(
    text: str, sentences: Sequence[Sentence], is_answer: Callable[[str], bool]
) -> list[Sentence]:
    """The sentences, each question joined with the answer after it. is_answer: whether a text is one."""
    return joined(
        text,
        sentences,
        lambda question, sentence: _follows(question, sentence) and is_answer(sentence.text),
    )


def _follows(question: Sentence, sentence: Sentence) -> bool:
    """Whether a sentence directly follows a question, is short, and is not a question itself."""
    return (
        question.text.endswith("?")
        and sentence.start - question.end <= _NEAR
        and len(sentence.text) <= _LONGEST
        and not sentence.text.endswith("?")
        and question.impression == sentence.impression
    )
