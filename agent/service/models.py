"""Decides which checkpoint a process loads: the main model's or the challenger's; a switch exchanges them."""

from __future__ import annotations

import threading
from pathlib import Path

from agent.database.session import Database
from agent.foundation.errors import AgentError, SettingsError
from agent.foundation.log import get_logger
from agent.foundation.model_errors import ModelNotAsSwitched
from agent.foundation.settings.tree import Settings
from agent.service.lifecycle import Lifecycle
from agent.shadow.switching import CHALLENGER, MAIN, Place, newest_switch, place_in_use

LOOK_EVERY_S = 5.0


def configured_checkpoint(settings: Settings, place: Place) -> Path:
    """Return the directory of a configured checkpoint; without `model.checkpoint`, the demonstration model's.

    Raises:
        SettingsError: the challenger is requested, but none is configured.
    """
    if place == CHALLENGER:
        if settings.shadow.challenger is None:
            raise SettingsError(
                "`shadow.challenger.checkpoint` is not set; if the challenger was switched to, set it again "
                "or return with `echo-agent model back`"
            )
        return settings.shadow.challenger.checkpoint
    if settings.model.checkpoint is not None:
        return settings.model.checkpoint
    import model

    return Path(model.__path__[0]) / "demo_checkpoint"


def drafting_place(database: Database) -> Place:
    """Return which configured checkpoint drafts for delivery.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        return place_in_use(session)


def challenging_place(database: Database) -> Place:
    """Return which configured checkpoint is the challenger now: the one that does not draft."""
    return MAIN if drafting_place(database) == CHALLENGER else CHALLENGER


def check_as_switched(database: Database, weights_sha256: str) -> None:
    """Refuse to draft with weights other than those that were compared before the switch.

    Raises:
        ModelNotAsSwitched: the challenger's checkpoint has been replaced since.
    """
    with database.reading() as session:
        newest = newest_switch(session)
        if newest is not None and newest.place == CHALLENGER and newest.to_digest != weights_sha256:
            raise ModelNotAsSwitched(
                "the challenger's checkpoint holds other weights than when it was switched to"
            )


class SwitchWatch:
    """Restarts this process when the model is switched, after the present studies are finished."""

    def __init__(self, database: Database, lifecycle: Lifecycle) -> None:
        self._database, self._lifecycle = database, lifecycle
        self._seen = self._newest()
        self._log = get_logger("worker")

    def start(self) -> None:
        """Watch from a thread until the process stops."""
        threading.Thread(target=self._watch, name="switches", daemon=True).start()

    def look(self) -> None:
        """Request a restart if there was a switch."""
        if self._newest() != self._seen:
            self._log.info("model_switched")
            self._lifecycle.restart = True
            self._lifecycle.stop.set()

    def _newest(self) -> int:
        with self._database.reading() as session:
            newest = newest_switch(session)
            return 0 if newest is None else newest.id

    def _watch(self) -> None:
        while not self._lifecycle.stop.wait(LOOK_EVERY_S):
            try:
                self.look()
            except AgentError as error:
                self._log.warning("database_unavailable", code=error.code)
