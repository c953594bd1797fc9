"""The stream with a fake queue: which study is taken when, and which result comes back for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import Any

import pytest
import torch

from model.decode import Decoded, DecodeOptions
from model.drafts.study import Study, StudyList
from model.errors import DecodingError, OutOfMemoryError, PromptError
from model.network.prompt import Prompt
from model.reporting.review import Review
from model.reporting.stream import Stream, StudyOutcome


def a_report(number: int, forwards: int = 1) -> Decoded:
    return Decoded(
        tokens=(number,), confidences=(1.0,), block_confidences=(1.0,), stopped=True, forwards=forwards
    )


def a_review(report: Decoded) -> Review:
    return Review(
        report=report,
        text="",
        sentences=(),
        garbles=(),
        findings=(),
        language="en",
        notices=(),
        contradictions=(),
    )


class Queue:
    """Decodes report `n` in `n` advances, and records the rank of each request."""

    def __init__(self, slots: int) -> None:
        self.slots, self.cleared = slots, False
        self.left: dict[int, int] = {}
        self.prompts: dict[int, Prompt] = {}
        self.failing: dict[int, Exception] = {}
        self.ranks: list[tuple[int, int, bool]] = []

    @property
    def busy(self) -> bool:
        return bool(self.left)

    def submit(
        self, prompt: Prompt, options: DecodeOptions | None = None, *, rank: int = 0, yields: bool = False
    ) -> int:
        (number,) = prompt.input_ids
        if number == 99:
            raise DecodingError("too long")
        ticket = len(self.prompts)
        self.prompts[ticket], self.left[ticket] = prompt, number
        self.ranks.append((number, rank, yields))
        return ticket

    def clear(self) -> None:
        self.cleared = True
        self.left.clear()

    def advance(self) -> list[tuple[int, Any]]:
        running = sorted(self.left)[: self.slots]
        for ticket in running:
            self.left[ticket] -= 1
        done = [ticket for ticket in running if self.left[ticket] <= 0]
        for ticket in done:
            del self.left[ticket]
        numbers = {ticket: self.prompts[ticket].input_ids[0] for ticket in done}
        return [(t, self.failing.get(n) or a_report(n)) for t, n in numbers.items()]


class Desk:
    """A study is its key; reports of `doubtful` keys are decoded a second time."""

    def __init__(self, doubtful: Sequence[int] = ()) -> None:
        self.doubtful = doubtful

    def prompt(self, images: Any, context: Any) -> Prompt:
        (number,) = images
        if number < 0:
            raise PromptError("no image")
        return Prompt(input_ids=(number,), images=torch.zeros(0))

    def read(self, report: Decoded) -> Review:
        if report.tokens == (7,):
            raise ValueError("a bug")
        return a_review(report)

    def again(self, prompt: Prompt, found: Review) -> Any:
        return (
            (dataclasses.replace(prompt, answer=(1,)), None) if prompt.input_ids[0] in self.doubtful else None
        )

    def better(self, first: Review, begun: Prompt, rest: Decoded) -> Review:
        assert begun.answer == (1,)
        return a_review(dataclasses.replace(rest, forwards=first.report.forwards + rest.forwards))


class AtOnce(Executor):
    """Runs each task at once, so that the test controls the order."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future


def studies(*numbers: int) -> list[Study[str]]:
    return [Study(key=f"study {number}", images=[number]) for number in numbers]  # type: ignore[list-item]


def run(
    source: Any, queue: Queue, desk: Desk | None = None, ahead: int = 2
) -> list[tuple[str, StudyOutcome]]:
    ticks = iter(range(10_000))
    stream = Stream(source, queue, desk or Desk(), AtOnce(), ahead=ahead, clock=lambda: float(next(ticks)))
    return [(study.key, outcome) for study, outcome in stream.run()]


def test_reports_come_back_as_they_are_done() -> None:
    """A short report does not wait for a long one submitted before it."""
    done = run(StudyList(studies(30, 2, 3, 1)), Queue(slots=2))
    assert sorted(key for key, _ in done) == ["study 1", "study 2", "study 3", "study 30"]
    assert done[-1][0] == "study 30"
    assert {key: outcome.result.report.tokens for key, outcome in done} == {
        f"study {number}": (number,) for number in (30, 2, 3, 1)
    }


class Trickle:
    """A source that has one study at a time, and records each request."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers, self.asked = list(numbers), list[tuple[int, bool]]()

    def take(self, room: int, *, idle: bool) -> Sequence[Study[str]] | None:
        self.asked.append((room, idle))
        if not self.numbers:
            return None
        return studies(self.numbers.pop(0))


def test_source_is_asked_between_forwards_for_what_there_is_room_for() -> None:
    """Idle only when no study is in progress, never beyond slots and studies ahead, and not after its end."""
    source = Trickle([5, 5, 5, 5, 5, 5])
    done = run(source, Queue(slots=2), ahead=1)
    assert len(done) == 6
    assert source.asked[0] == (3, True)
    assert {room for room, _ in source.asked} <= {1, 2, 3}
    assert all(idle == (room == 3) for room, idle in source.asked)
    assert source.numbers == []


def test_study_at_fault_fails_alone() -> None:
    """Bad images, no room, no memory or a bug in the reading: only the study concerned fails."""
    queue = Queue(slots=2)
    queue.failing = {4: OutOfMemoryError("full")}
    done = dict(run(StudyList(studies(1, -1, 99, 4, 7, 2)), queue))
    failures = {k: type(o.result) for k, o in done.items() if isinstance(o.result, Exception)}
    assert failures == {
        "study -1": PromptError,
        "study 99": DecodingError,
        "study 4": OutOfMemoryError,
        "study 7": ValueError,
    }
    assert done["study 1"].result.report.tokens == (1,)
    assert done["study 2"].result.report.tokens == (2,)


def test_doubtful_report_is_decoded_twice_and_says_what_it_cost() -> None:
    """It is repeated only once; the blocks and forward passes of the repetition are counted."""
    queue = Queue(slots=2)
    done = dict(run(StudyList(studies(3, 2)), queue, Desk(doubtful=[3])))
    assert len(queue.prompts) == 3
    assert (done["study 3"].repeated_blocks, done["study 3"].repeat_forwards) == (1, 1)
    assert done["study 3"].result.report.forwards == 2
    assert (done["study 2"].repeated_blocks, done["study 2"].repeat_forwards) == (0, 0)


def test_first_reading_stands_where_there_is_no_memory_for_a_second() -> None:
    """A report that was already decoded is not lost."""
    queue = Queue(slots=1)

    class Once(Desk):
        def again(self, prompt: Prompt, found: Review) -> Any:
            queue.failing = {3: OutOfMemoryError("full")}
            return super().again(prompt, found)

    ((_, outcome),) = run(StudyList(studies(3)), queue, Once(doubtful=[3]))
    assert outcome.result.report.tokens == (3,)


def test_stream_left_early_drops_what_is_in_hand() -> None:
    """The queue is empty for the next stream."""
    queue = Queue(slots=2)
    stream = Stream(StudyList(studies(1, 5, 5)), queue, Desk(), AtOnce(), ahead=2, clock=lambda: 0.0)
    for _study, _outcome in stream.run():
        break
    assert queue.cleared


def test_failure_of_the_device_ends_the_stream() -> None:
    """It is not the error of a study, so it is raised; nothing is left in the queue."""

    class Broken(Queue):
        def advance(self) -> list[tuple[int, Any]]:
            raise RuntimeError("CUDA error")

    queue = Broken(slots=2)
    with pytest.raises(RuntimeError, match="CUDA error"):
        run(StudyList(studies(1)), queue)
    assert queue.cleared


def test_seconds_count_from_the_taking() -> None:
    """One clock is read when a study is taken and when it is done."""
    ((_, outcome),) = run(StudyList(studies(1)), Queue(slots=1))
    assert outcome.seconds == 1.0


def test_rank_of_a_study_is_that_of_its_decoding_and_of_its_repetition() -> None:
    """The decoder gets the study's rank, and whether it yields, both times."""
    queue = Queue(slots=2)
    old, urgent = studies(3, 1)
    source = StudyList([dataclasses.replace(old, rank=3, yields=True), urgent])
    run(source, queue, Desk(doubtful=[3]))
    assert sorted(queue.ranks) == [(1, 0, False), (3, 3, True), (3, 3, True)]
