"""The pipeline between a source of studies and the decoder's queue: studies in, reports out, one by one.

A study's images are prepared in a helper thread while others are decoded. Its report is decoded and reviewed,
and a doubtful one is decoded once more, carefully. It is returned as soon as it is finished, and its place is
offered to the source.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from model.decode import Decoded, DecodeOptions
from model.drafts.study import Image, Key, ReportContext, Study, StudySource
from model.errors import DecodingError, OutOfMemoryError
from model.network.prompt import Prompt
from model.reporting.review import Review

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOutcome:
    """A study's reviewed report, or the error that prevented it.

    seconds: since it was taken. repeated_blocks, repeat_forwards: blocks that were decoded a second time, and
    the forward passes for that.
    """

    result: Review | Exception
    seconds: float
    repeated_blocks: int = 0
    repeat_forwards: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class _Case(Generic[Key]):
    """A study in progress."""

    study: Study[Key]
    taken: float
    prompt: Prompt | None = None
    first: Review | None = None
    begun: Prompt | None = None
    repeated_blocks: int = 0
    repeat_forwards: int = 0


class ReportQueue(Protocol):
    """Takes prompts at any time and returns reports as they finish; `model.decode.engine.Engine` is one."""

    @property
    def slots(self) -> int:
        """The most reports in decoding at once; fewer after the memory ran out."""
        ...

    @property
    def busy(self) -> bool:
        """Whether a report is waiting or in decoding."""
        ...

    def submit(
        self, prompt: Prompt, options: DecodeOptions | None = None, *, rank: int = 0, yields: bool = False
    ) -> int:
        """Queues a report and returns its ticket. rank, yields: of its study."""
        ...

    def clear(self) -> None:
        """Drops everything that is waiting or being decoded."""
        ...

    def advance(self) -> list[tuple[int, Decoded | OutOfMemoryError]]:
        """Runs some steps; returns the finished reports with their tickets. A report that does not fit into

        the device's memory even alone is returned as that error.
        """
        ...


class Desk(Protocol):
    """Converts a study to a prompt and the decoder's answer to a report; called from any thread."""

    def prompt(self, images: Sequence[Image], context: ReportContext | None) -> Prompt:
        """The study in the decoder's form. Raises: PromptError."""
        ...

    def read(self, report: Decoded) -> Review:
        """The reviewed report."""
        ...

    def again(self, prompt: Prompt, found: Review) -> tuple[Prompt, DecodeOptions] | None:
        """How to decode a doubtful report once more, keeping its sound beginning; None: it stays
        unchanged."""
        ...

    def better(self, first: Review, begun: Prompt, rest: Decoded) -> Review:
        """The better of the first reading and the one that ends in `rest`."""
        ...


class Stream(Generic[Key]):
    """One run over a source.

    helper: prepares and reviews while the queue decodes. ahead: studies in progress beyond those being
    decoded. clock: seconds.
    """

    def __init__(
        self,
        source: StudySource[Key],
        queue: ReportQueue,
        desk: Desk,
        helper: Executor,
        *,
        ahead: int,
        clock: Callable[[], float],
    ) -> None:
        self._source, self._queue, self._desk, self._helper = source, queue, desk, helper
        self._ahead, self._clock = ahead, clock
        self._open = True
        self._preparing: dict[Future[Prompt], _Case[Key]] = {}
        self._decoding: dict[int, _Case[Key]] = {}
        self._reading: dict[Future[Review], _Case[Key]] = {}

    def run(self) -> Generator[tuple[Study[Key], StudyOutcome]]:
        """Each study with its outcome, in the order in which they are done.

        A raised (not returned) exception means a failure of the device, not of a study: everything in
        progress is lost.
        """
        try:
            while self._open or self._in_hand:
                self._take()
                yield from self._submit()
                yield from self._advance()
                yield from self._collect()
        finally:  # left early: drop what remains
            pending: list[Future[Any]] = [*self._preparing, *self._reading]
            for future in pending:
                future.cancel()
            self._queue.clear()

    @property
    def _in_hand(self) -> int:
        return len(self._preparing) + len(self._decoding) + len(self._reading)

    def _take(self) -> None:
        room = self._queue.slots + self._ahead - self._in_hand
        if not self._open or room < 1:
            return
        studies = self._source.take(room, idle=not self._in_hand)
        self._open = studies is not None
        for study in studies or ():
            case = _Case(study=study, taken=self._clock())
            self._preparing[self._helper.submit(self._desk.prompt, study.images, study.context)] = case

    def _submit(self) -> Iterator[tuple[Study[Key], StudyOutcome]]:
        """Puts prepared studies into the queue; waits for the next one if there is nothing else to do."""
        if not self._queue.busy:
            pending: list[Future[Any]] = [*self._preparing, *self._reading]
            wait(pending, return_when=FIRST_COMPLETED)
        for future in [future for future in self._preparing if future.done()]:
            case = self._preparing.pop(future)
            prompt = _result(future)
            if isinstance(prompt, Exception):
                yield self._outcome(case, prompt)
                continue
            case.prompt = prompt
            error = self._enqueue(case, prompt, None)
            if error is not None:
                yield self._outcome(case, error)

    def _enqueue(self, case: _Case[Key], prompt: Prompt, options: DecodeOptions | None) -> Exception | None:
        try:
            study = case.study
            ticket = self._queue.submit(prompt, options, rank=study.rank, yields=study.yields)
            self._decoding[ticket] = case
        except DecodingError as error:
            return error
        return None

    def _advance(self) -> Iterator[tuple[Study[Key], StudyOutcome]]:
        for ticket, report in self._queue.advance() if self._queue.busy else ():
            case = self._decoding.pop(ticket)
            if isinstance(report, Exception):
                yield self._outcome(case, case.first or report)
            elif case.first is None or case.begun is None:
                self._reading[self._helper.submit(self._desk.read, report)] = case
            else:
                case.repeated_blocks, case.repeat_forwards = report.blocks, report.forwards
                self._reading[self._helper.submit(self._desk.better, case.first, case.begun, report)] = case

    def _collect(self) -> Iterator[tuple[Study[Key], StudyOutcome]]:
        """Completes reviewed reports, or puts them into the queue once more."""
        for future in [future for future in self._reading if future.done()]:
            case = self._reading.pop(future)
            found = _result(future)
            if isinstance(found, Exception) or not self._repeat(case, found):
                yield self._outcome(case, found)

    def _repeat(self, case: _Case[Key], found: Review) -> bool:
        """Whether the report goes back to the decoder: once, if it is doubtful."""
        if case.begun is not None or case.prompt is None:
            return False
        again = self._desk.again(case.prompt, found)
        if again is None:
            return False
        case.first, (case.begun, options) = found, again
        return self._enqueue(case, case.begun, options) is None

    def _outcome(self, case: _Case[Key], result: Review | Exception) -> tuple[Study[Key], StudyOutcome]:
        return case.study, StudyOutcome(
            result=result,
            seconds=self._clock() - case.taken,
            repeated_blocks=case.repeated_blocks,
            repeat_forwards=case.repeat_forwards,
        )


def _result(future: Future[_Value]) -> _Value | Exception:
    """The result of a finished future."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, Exception):
        return error
    raise error
