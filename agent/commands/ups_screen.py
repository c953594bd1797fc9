"""A watched worklist: a table on the terminal that is kept up to date; without a terminal, a line for
each change.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from dataclasses import astuple, fields
from types import FrameType, TracebackType
from typing import Self

from rich.live import Live
from rich.table import Table

from agent.commands.common import console
from agent.ris.ups.watcher import WorklistLine


class WorklistScreen:
    """Shows the lines of a worklist until Ctrl+C."""

    def __init__(self, address: str) -> None:
        """Be ready; `address` is the worklist's, for the title."""
        self._address = address
        self._console = console()
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._printed: set[WorklistLine] = set()
        self._lost = False
        self.stop = threading.Event()

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, lines: Sequence[WorklistLine] | None) -> None:
        """Show the lines; None means that the worklist cannot be reached."""
        if self._live is not None:
            title = f"{self._address}: not reached, trying again" if lines is None else self._address
            self._live.update(table_of(title, lines or ()), refresh=True)
            return
        if lines is None:
            if not self._lost:
                print(f"{self._address}: not reached, trying again", flush=True)
            self._lost = True
            return
        self._lost = False
        for line in lines:
            if line not in self._printed:
                print("\t".join(astuple(line)), flush=True)
        self._printed = set(lines)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stop.set()


def table_of(title: str, lines: Sequence[WorklistLine]) -> Table:
    """Return the lines as a table."""
    table = Table(title=title, box=None, pad_edge=False)
    for column in fields(WorklistLine):
        table.add_column(column.name, overflow="fold")
    for line in lines:
        table.add_row(*astuple(line), style="bold" if line.priority == "HIGH" else "")
    return table
