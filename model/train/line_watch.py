"""Checks a training file during the run: ends the run, or counts and reports what is skipped."""

from __future__ import annotations

import threading
from collections.abc import Callable

from model.train.config import JsonLinesData
from model.train.line_check import Bad, FileCheck, LineReader, check_lines, keep_verdict, kept_verdict, listed
from model.train.line_index import DataError

_AT_ONCE = 5_000  # lines that are checked before the first step
_BETWEEN = 1_000  # lines between two looks at whether the run has ended

Say = Callable[[str], None]


class LineWatch:
    """Checks every line of a file, the first ones at once and the rest in a thread.

    With `bad_lines: refuse` the run ends as soon as a bad line is found, naming all those found so far; with
    `skip` it ends once more than the share `most_skipped` of the file's lines is bad.

    Args:
        reader: the file.
        data: its settings.
        say: receives the number of skipped lines, and the first of them.

    Raises:
        DataError, as `require` does.
    """

    def __init__(self, reader: LineReader, data: JsonLinesData, say: Say) -> None:
        self._reader, self._data, self._say = reader, data, say
        self._bad: list[Bad] = []
        self._lines = len(reader.index)
        self._stop = threading.Event()
        self._failure: str | None = None
        self._thread: threading.Thread | None = None
        verdict = None if data.limit is not None else kept_verdict(reader.file)
        if verdict is not None and verdict.lines == self._lines:
            self._bad = list(verdict.bad)
            self._conclude()
            self.require()
        else:
            self._start()

    def require(self) -> None:
        """Raises: DataError with number and reason of the bad lines, if the run must not continue."""
        if self._failure is not None:
            raise DataError(self._failure)

    @property
    def skipped(self) -> frozenset[int]:
        """The numbers of the skipped lines, as far as they have been checked."""
        return frozenset(one.number for one in list(self._bad) if not one.repeated)

    def finish(self) -> None:
        """Waits for the check to end. Raises: as `require`."""
        if self._thread is not None:
            self._thread.join()
        self.require()

    def close(self) -> None:
        """Ends the check early."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        self._checked = check_lines(self._reader)
        more = self._take(_AT_ONCE)
        self.require()
        if more:
            self._thread = threading.Thread(target=self._go_on, name="data-check", daemon=True)
            self._thread.start()

    def _go_on(self) -> None:
        while not self._stop.is_set() and self._take(_BETWEEN):
            pass

    def _take(self, count: int) -> bool:
        """Checks this many lines; returns whether others are left."""
        for _ in range(count):
            try:
                found = next(self._checked)
            except StopIteration:
                self._conclude()
                if self._data.limit is None:
                    keep_verdict(self._reader.file, FileCheck(lines=self._lines, bad=tuple(self._bad)))
                return False
            if found is not None:
                self._bad.append(found)
        self._judge("so far ")
        return self._failure is None

    def _conclude(self) -> None:
        """Reports the result of the whole check."""
        self._judge("")
        if not self._bad or self._failure is not None:
            return
        skipped = [one for one in self._bad if not one.repeated]
        repeated = [one for one in self._bad if one.repeated]
        if skipped:
            self._say(
                f"{self._reader.file}: {len(skipped)} of {self._lines} lines are skipped:\n{listed(skipped)}"
            )
        if repeated:
            self._say(
                f"{self._reader.file}: {len(repeated)} of {self._lines} lines repeat the id of another; "
                f"they are used:\n{listed(repeated)}"
            )

    def _judge(self, when: str) -> None:
        """Decides whether the run must end."""
        if not self._bad:
            return
        refused = self._data.bad_lines == "refuse"
        bad = [one for one in self._bad if refused or not one.repeated]
        found = f"{self._reader.file} has {when}{len(bad)} of {self._lines} lines that cannot be trained on"
        if refused:
            self._failure = f"{found}; correct them, or set bad_lines: skip:\n{listed(bad)}"
        elif len(bad) > self._data.most_skipped * self._lines:
            self._failure = (
                f"{found}, more than the share that may be skipped (most_skipped: "
                f"{self._data.most_skipped}):\n{listed(bad)}"
            )
