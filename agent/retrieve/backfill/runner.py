"""Runs a backfill: one thread queries by date, a few retrieve, all within the budget, until all is done."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from random import Random
from time import monotonic

from agent.database.session import Database
from agent.foundation.breaker import TOLERATED, Breaker
from agent.foundation.errors import AgentError, DatabaseUnavailable
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import Settings
from agent.retrieve.backfill.archive import DatedArchive
from agent.retrieve.backfill.claims import Hold
from agent.retrieve.backfill.enumeration import ACTOR, Enumerator
from agent.retrieve.backfill.pulling import Puller

Step = Callable[[], Hold | AgentError | None]
_AFTER_TROUBLE_S = 5.0
_ENDS = ("done", "stopped")


class Runner:
    """The threads of one process; several processes share the rows and the budget."""

    def __init__(
        self, database: Database, settings: Settings, source: DatedArchive, *, chance: Random | None = None
    ) -> None:
        self._settings = settings
        self._chance = chance or Random()
        self._enumerator = Enumerator(database, settings, source, self._chance)
        self._puller = Puller(database, settings, source, self._chance)
        self._lock = threading.Lock()
        self._breaker = Breaker()
        self._enumerated = threading.Event()
        # What this process has done since its start, and why it is waiting.
        self._done: Counter[str] = Counter()
        self._why = ""
        self._log = get_logger(ACTOR)

    def run(self, stop: threading.Event, *, follow: bool = False) -> None:
        """Work until everything is retrieved, a person stops the backfill, or `stop` is set.

        follow: wait for further plans, or until a stop is undone, instead of ending. Retrievals in progress
        at a stop are finished.
        """
        threads = [threading.Thread(target=self._enumerate, args=(stop, follow), name="backfill-ask")]
        threads += [
            threading.Thread(target=self._pull, args=(stop, follow), name=f"backfill-pull-{n}")
            for n in range(self._settings.backfill.in_flight)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def about(self) -> dict[str, object]:
        """Return what this process has done, for its heartbeat."""
        return {"asked": self._done["asked"], "pulled": self._done["pulled"], "waits_for": self._why}

    def _enumerate(self, stop: threading.Event, follow: bool) -> None:
        self._loop(self._enumerator.step, stop, lambda hold: hold.why in _ENDS and not follow, "asked")
        self._enumerated.set()

    def _pull(self, stop: threading.Event, follow: bool) -> None:
        def over(hold: Hold) -> bool:
            done = hold.why == "done" and self._enumerated.is_set()
            return (done or hold.why == "stopped") and not follow

        self._loop(self._puller.step, stop, over, "pulled")

    def _loop(self, step: Step, stop: threading.Event, over: Callable[[Hold], bool], counter: str) -> None:
        while not stop.is_set():
            pause = self._pause_s()
            if pause > 0:
                stop.wait(min(pause, 1.0))
                continue
            try:
                outcome = step()
            except DatabaseUnavailable as error:
                self._log.warning("database_unavailable", code=error.code)
                stop.wait(_AFTER_TROUBLE_S)
                continue
            except Exception as error:  # noqa: BLE001 - outermost: the lease expires, and the next one is taken
                self._log.error("backfill_failed", code="unexpected", error_type=type(error).__name__)
                stop.wait(_AFTER_TROUBLE_S)
                continue
            if isinstance(outcome, Hold):
                self._why = outcome.why
                if over(outcome):
                    return
                stop.wait(min(outcome.seconds, 1.0) if outcome.why == "done" else outcome.seconds)
                continue
            with self._lock:
                self._remember(outcome)
                if outcome is None:
                    self._done[counter] += 1

    def _pause_s(self) -> float:
        with self._lock:
            return self._breaker.open_until - monotonic()

    def _remember(self, trouble: AgentError | None) -> None:
        """Leave an archive that is out of resources or down alone, longer each time."""
        if trouble is None:
            self._breaker = self._breaker.succeeded()
            return
        now = monotonic()
        # Unlike in delivery, the first refusal counts.
        before = Breaker(failures=max(self._breaker.failures, TOLERATED))
        self._breaker = before.failed(now, self._chance.random(), self._settings.backfill.retry)
        pause = round(self._breaker.open_until - now)
        self._log.warning("archive_left_alone", code=trouble.code, seconds=pause)
