"""Questions that the next sentence answers: "Is there a pneumothorax? No." is one statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from model.findings.text.sentences import Sentence

_LONGEST = 120  # characters of an answer
_NEAR = 12  # characters between a question and its answer


def with_answers(
    text: str, sentences: Sequence[Sentence], is_answer: Callable[[str], bool]
) -> list[Sentence]:
    """The sentences, each question joined with the answer after it. is_answer: whether a text is one."""
    found: list[Sentence] = []
    for sentence in sentences:
        if found and _follows(found[-1], sentence) and is_answer(sentence.text):
            question = found[-1]
            found[-1] = replace(
                question,
                text=text[question.start : sentence.end],
                end=sentence.end,
                dropped=(*question.dropped, *sentence.dropped),
            )
        else:
            found.append(sentence)
    return found


def _follows(question: Sentence, sentence: Sentence) -> bool:
    """Whether a sentence directly follows a question, is short, and is not a question itself."""
    return (
        question.text.endswith("?")
        and sentence.start - question.end <= _NEAR
        and len(sentence.text) <= _LONGEST
        and not sentence.text.endswith("?")
        and question.impression == sentence.impression
    )
