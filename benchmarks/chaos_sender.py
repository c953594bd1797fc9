"""A modality for the chaos run: sends one study after another, each again until it is acknowledged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from agent.commands.demo.phantom_study import phantom_study
from agent.commands.demo.sending import Parcel, parcel_of, send
from agent.commands.demo.service import AE_TITLE

# Pixels per side: the network scales every film down, so a larger one would only take time.
SIZE = 256
PAUSE_S = 0.3
# One study in this many is sent again after its acknowledgement, as modalities do.
REPEAT_ONE_IN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """A SOP Instance that the listener answered with success."""

    study: str
    sop_instance: str


class Sender:
    """Keeps enough studies in progress that no process is ever idle."""

    def __init__(
        self,
        port: int,
        seed: int,
        room: Callable[[int], bool],
        announce: Callable[[str], None] = lambda _study: None,
    ) -> None:
        """Send to `port`.

        room: whether another study may follow, given the number of acknowledged ones. announce: called with
        the Study Instance UID of each study before it is sent.
        """
        self.acknowledged: list[Acknowledged] = []
        self.refusals = 0
        self._port = port
        self._seed = seed
        self._room = room
        self._announce = announce
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="modality", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, within_s: float) -> bool:
        """End after the current study is acknowledged; return whether it was, in time."""
        self._stop.set()
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        chance, number = Random(f"{self._seed}-modality"), 0
        while not self._stop.is_set():
            if not self._room(len(self.acknowledged)):
                self._stop.wait(PAUSE_S)
                continue
            # One image per study: with two, a listener killed in between would rightly draft the first alone.
            study = phantom_study(
                self._seed * 100_000 + number, number=number, taken=datetime.now(UTC), size=SIZE
            )
            parcel = parcel_of(study.instances[0], "image")
            self._announce(study.study_instance_uid)
            for _time in range(2 if chance.randrange(REPEAT_ONE_IN) == 0 else 1):
                while not self._sent(parcel):
                    self.refusals += 1
                    # Not `_stop`: a study that was begun must be acknowledged in the end.
                    threading.Event().wait(PAUSE_S)
            self.acknowledged.append(
                Acknowledged(
                    study=study.study_instance_uid, sop_instance=str(study.instances[0].SOPInstanceUID)
                )
            )
            number += 1

    def _sent(self, parcel: Parcel) -> bool:
        (answer,) = send([parcel], host="127.0.0.1", port=self._port, called=AE_TITLE)
        return answer.accepted
