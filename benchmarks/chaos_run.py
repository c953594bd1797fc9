"""One chaos run on one database: a modality sends, processes are killed, PACS, database and disk fail."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.commands.demo.orthanc import free_ports
from agent.commands.demo.service import own_environment, write_config
from agent.database.session import Database, open_engine
from agent.objects.store import InstanceStore
from benchmarks.chaos_account import Account, account, delivered, uncommitted, unsettled
from benchmarks.chaos_process import PATIENCE_S, READY_WITHIN_S, Hunt, Victim
from benchmarks.chaos_sender import Sender
from benchmarks.chaos_ups_account import UpsAccount, completed_workitems, ups_account
from benchmarks.chaos_world import (
    ROOT,
    ChaosDatabase,
    Disk,
    PacsProcess,
    RisProcess,
    chaos_database,
    chaos_disk,
)

UNDER_WAY = 12
OUTAGE_S = 4.0
QUIET_WITHIN_S = 300.0
# A generous bound for one kill of the slowest role on a busy machine, and for the starts.
KILL_WITHIN_S, START_WITHIN_S = 25.0, 120.0
# Shares of the kills: the worker loads the network at each start, so it gets the fewest. The listener gets
# the rest.
SHARES = {"worker": 0.2, "deliverer": 0.35}
SHARES_WITH_UPS = {"worker": 0.15, "deliverer": 0.25, "worklist": 0.3}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosResult:
    """A run: how often each role died where, what failed around them, and the account.

    ups: the account of the workitems; None for a run without them.
    """

    database: str
    kills: dict[str, dict[str, int]]
    ends: dict[str, int]
    troubles: tuple[str, ...]
    refusals: int
    account: Account
    seconds: float
    ups: UpsAccount | None = None

    @property
    def killed(self) -> int:
        """All kills."""
        return sum(sum(places.values()) for places in self.kills.values())


def run(kind: str, kills: int, seed: int, folder: Path, *, with_ups: bool = False) -> ChaosResult:
    """Run on an empty database of a kind with all data in `folder`; every wait is bounded.

    with_ups: a RIS orders each draft as a workitem, and the worklist's process is killed too.
    """
    began = time.monotonic()
    folder.mkdir()
    with chaos_database(kind, folder) as chaotic, chaos_disk(folder / "instances") as disk:
        (port,) = free_ports(1)
        pacs = PacsProcess(folder, port)
        ris = RisProcess(folder) if with_ups else None
        config = _configure(folder, pacs, port, chaotic, disk, ris)
        pacs.start()
        if ris is not None:
            ris.start()
        share = shares(kills, with_ups=with_ups)
        victims = {role: Victim(role, config, folder, seed) for role in share}
        database = Database(open_engine(chaotic.url))
        try:
            sender = Sender(
                port,
                seed,
                lambda sent: sent - len(delivered(pacs.arrivals())) < UNDER_WAY,
                (lambda _study: None) if ris is None else ris.order,
            )
            troubles = _rage(victims, share, sender, pacs, chaotic, disk)
            _settle(victims, sender, pacs, database, ris)
            reckoned = account(database, InstanceStore(disk.path, 0), sender.acknowledged, pacs.arrivals())
            of_ups = None if ris is None else _ups_account(ris, sender, pacs, database)
        finally:
            for victim in victims.values():
                victim.close()
            pacs.stop()
            if ris is not None:
                ris.stop()
            database.close()
    return ChaosResult(
        database=kind,
        kills={role: dict(victim.kills) for role, victim in victims.items()},
        ends={role: victim.ends for role, victim in victims.items()},
        troubles=tuple(troubles),
        refusals=sender.refusals,
        account=reckoned,
        seconds=round(time.monotonic() - began, 1),
        ups=of_ups,
    )


def shares(kills: int, *, with_ups: bool = False) -> dict[str, int]:
    """Divide the kills among the roles: each gets at least one, and the listener gets the remainder."""
    parts = SHARES_WITH_UPS if with_ups else SHARES
    found = {role: max(1, int(kills * part)) for role, part in parts.items()}
    return {**found, "listener": max(1, kills - sum(found.values()))}


def _configure(
    folder: Path, pacs: PacsProcess, port: int, chaotic: ChaosDatabase, disk: Disk, ris: RisProcess | None
) -> Path:
    config = write_config(
        folder,
        pacs,
        port=port,
        # The report comes over a separate association, or never: then the PACS is queried for what it holds.
        destination={"commitment": True, "commitment_wait_s": 0, "commitment_timeout_s": 3},
        changes={
            "database": {"url": chaotic.url},
            "storage": {"min_free_mb": 0, "path": str(disk.path)},
            # A study in progress when its worker is killed must not run out of attempts here.
            "worker": {"lease_s": 4, "maximum_attempts": 1000, "longest_retry_s": 2},
            "delivery": {"lease_s": 4, "longest_retry_s": 2},
            **({} if ris is None else {"ups": ris.settings()}),
        },
    )
    subprocess.run(
        [sys.executable, "-m", "agent", "db", "upgrade", "--config", str(config)],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env=own_environment(),
        timeout=START_WITHIN_S,
    )
    return config


def _rage(
    victims: dict[str, Victim],
    share: dict[str, int],
    sender: Sender,
    pacs: PacsProcess,
    chaotic: ChaosDatabase,
    disk: Disk,
) -> list[str]:
    """Kill until all shares are used up; in between stop the PACS and the database, and fill the disk."""
    hunts = {role: Hunt(victims[role], kills) for role, kills in share.items()}
    kills = sum(share.values())
    sender.start()
    for hunt in hunts.values():
        hunt.start()
    outages: Sequence[tuple[str, Callable[[], None]]] = (
        ("PACS stopped", lambda: _without(pacs)),
        ("database stopped" if chaotic.server else "database locked", lambda: chaotic.outage(OUTAGE_S)),
        (f"disk full: {disk.words}", lambda: _full(disk, victims["listener"], hunts["listener"])),
    )
    deadline = time.monotonic() + START_WITHIN_S + KILL_WITHIN_S * kills
    done: list[str] = []
    try:
        while any(hunt.is_alive() for hunt in hunts.values()) and time.monotonic() < deadline:
            killed = sum(victim.killed for victim in victims.values())
            if len(done) < len(outages) and killed >= kills * (len(done) + 1) // (len(outages) + 1):
                words, cause = outages[len(done)]
                cause()
                done.append(words)
            time.sleep(0.1)
    finally:
        for hunt in hunts.values():
            hunt.off.set()
        for hunt in hunts.values():
            hunt.join(READY_WITHIN_S + PATIENCE_S)
    return done


def _without(pacs: PacsProcess) -> None:
    pacs.stop()
    time.sleep(OUTAGE_S)
    pacs.start()


def _full(disk: Disk, listener: Victim, hunt: Hunt) -> None:
    """Fill the disk for a while; if that is not allowed, make the listener treat it as full."""
    with hunt.paused:
        listener.stop()
        if disk.small:
            disk.fill()
            listener.start()
        else:
            listener.start(ECHO_AGENT_STORAGE__MIN_FREE_MB="1e12")
        time.sleep(2 * OUTAGE_S)
        listener.kill()
        disk.empty()


def _settle(
    victims: dict[str, Victim], sender: Sender, pacs: PacsProcess, database: Database, ris: RisProcess | None
) -> None:
    """Let everything run unharmed until the last acknowledged study is committed to, or the time is up."""
    deadline = time.monotonic() + QUIET_WITHIN_S
    ended = False
    while time.monotonic() < deadline:
        for victim in victims.values():
            if not victim.alive:
                victim.start()
        ended = ended or sender.stop(1.0)
        missing = {one.study for one in sender.acknowledged} - delivered(pacs.arrivals())
        if ended and not missing and not (unsettled(database, sender.acknowledged) or uncommitted(database)):
            found = None if ris is None else _ups_account(ris, sender, pacs, database)
            if found is None or not (found.ups_lost or found.ups_unheard):
                return
        time.sleep(0.5)


def _ups_account(ris: RisProcess, sender: Sender, pacs: PacsProcess, database: Database) -> UpsAccount:
    studies = {one.study for one in sender.acknowledged}
    return ups_account(studies, ris.entries(), completed_workitems(database), pacs.arrivals())
