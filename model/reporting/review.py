"""The review of a decoded report: its sentences, its findings, and what is doubtful about them."""

from __future__ import annotations

from dataclasses import dataclass

from model.decode import Decoded
from model.drafts.draft import DraftFlag, FlagCode
from model.findings.consistency import Contradiction, contradictions
from model.findings.extract import read_report
from model.findings.types import Finding
from model.findings.vocabulary import Vocabulary
from model.network.tokenizer import ReportTokenizer
from model.network.word_order import WordOrder
from model.reporting.garble import garble
from model.reporting.sentences import SpokenSentence, spoken_sentences

# A sentence with a token less likely than this is flagged: the model saw another word as likely.
LOW_CONFIDENCE = 0.5
_SHOWN = 3  # sentences that one flag quotes
_LONGEST_QUOTE = 120  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A report and the result of its review.

    garbles: for each sentence what is wrong with it, empty if nothing is. language: the text's tag. notices:
    about passages in a language that cannot be read.
    """

    report: Decoded
    text: str
    sentences: tuple[SpokenSentence, ...]
    garbles: tuple[str, ...]
    findings: tuple[Finding, ...]
    language: str
    notices: tuple[str, ...]
    contradictions: tuple[Contradiction, ...]

    @property
    def doubtful(self) -> tuple[bool, ...]:
        """Which sentences are broken, contradict others, or have low confidence."""
        disputed = {end.evidence for pair in self.contradictions for end in (pair.first, pair.second)}
        return tuple(
            bool(wrong) or sentence.text in disputed or sentence.confidence < LOW_CONFIDENCE
            for sentence, wrong in zip(self.sentences, self.garbles, strict=True)
        )

    @property
    def first_doubtful_token(self) -> int | None:
        """Where a second decoding should begin; None if the report reads well."""
        if not self.sentences:
            return 0
        places = [s.first_token for s, d in zip(self.sentences, self.doubtful, strict=True) if d]
        return min(places, default=None)

    @property
    def badness(self) -> tuple[float, ...]:
        """Sort key for reports of one study, the best first: readable, consistent, complete, confident."""
        return (
            float(not self.sentences),
            float(sum(bool(wrong) for wrong in self.garbles)),
            float(len(self.contradictions)),
            float(not self.report.stopped),
            float(sum(self.doubtful)),
            -min((sentence.confidence for sentence in self.sentences), default=0.0),
        )

    @property
    def flags(self) -> tuple[DraftFlag, ...]:
        """Flags for the radiologist about this text."""
        flags = []
        if not self.sentences:
            flags.append(DraftFlag(code=FlagCode.GARBLED, text="The model wrote no sentence."))
        broken = [(s, wrong) for s, wrong in zip(self.sentences, self.garbles, strict=True) if wrong]
        if broken:
            quoted = [f"“{_short(sentence.text)}” ({wrong})" for sentence, wrong in broken]
            flags.append(_quoting(FlagCode.GARBLED, "The draft may be garbled here", quoted))
        flags += [DraftFlag(code=FlagCode.UNREAD_LANGUAGE, text=text) for text in self.notices]
        flags += [DraftFlag(code=FlagCode.CONTRADICTION, text=pair.text) for pair in self.contradictions]
        unsure = [f"“{_short(s.text)}”" for s in self.sentences if s.confidence < LOW_CONFIDENCE]
        if unsure:
            flags.append(_quoting(FlagCode.LOW_CONFIDENCE, "The model was unsure of", unsure))
        if not self.report.stopped:
            text = "The draft was cut off at its greatest length; its end is missing."
            flags.append(DraftFlag(code=FlagCode.TRUNCATED, text=text))
        return tuple(flags)


def review(
    report: Decoded,
    tokenizer: ReportTokenizer,
    vocabulary: Vocabulary,
    *,
    canonical: bool,
    order: WordOrder | None = None,
) -> Review:
    """Reviews a decoded report; `canonical` and `order` as in `model.reporting.garble.garble`."""
    text = tokenizer.decode(report.tokens).strip()
    sentences = spoken_sentences(report, tokenizer)
    reading = read_report(text, vocabulary)
    return Review(
        report=report,
        text=text,
        sentences=sentences,
        garbles=tuple(
            garble(sentence.text, tokenizer, canonical=canonical, order=order) for sentence in sentences
        ),
        findings=reading.findings,
        language=reading.locale,
        notices=reading.notices,
        contradictions=contradictions(reading.findings, vocabulary),
    )


def _quoting(code: FlagCode, words: str, quoted: list[str]) -> DraftFlag:
    more = f" and {len(quoted) - _SHOWN} more" if len(quoted) > _SHOWN else ""
    return DraftFlag(code=code, text=f"{words}: {', '.join(quoted[:_SHOWN])}{more}.")


def _short(sentence: str) -> str:
    return sentence if len(sentence) <= _LONGEST_QUOTE else sentence[:_LONGEST_QUOTE] + "…"
