"""Commands that run the service: all processes together, or each separately."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.common import ConfigOption, config_file, database_of

if TYPE_CHECKING:
    from agent.foundation.settings.tree import Settings
    from agent.service.lifecycle import Lifecycle

WithParent = Annotated[
    bool, typer.Option("--end-with-parent", hidden=True, help="End when standard input closes.")
]


def serve(config: ConfigOption = None) -> None:
    """Run the whole service: listener, worker and deliverer in one process tree."""
    from agent.foundation.errors import ProcessFailed
    from agent.service.supervisor import ChildSpec, Supervisor

    settings, lifecycle = begin("supervisor", config)
    database_of(settings, create=True).close()
    arguments = ("--end-with-parent", *_config_arguments(config))
    roles = [("listener", "listen"), ("worker", "work")]
    if settings.shadow.challenger is not None:
        roles.append(("challenger", "work --challenger"))
    if settings.destinations:
        roles.append(("deliverer", "deliver"))
    if settings.web.enabled:
        roles.append(("web", "web"))
    if settings.ups.enabled:
        roles.append(("ups", "ups serve"))
    program = (sys.executable, "-m", "agent")
    specs = [
        ChildSpec(role=role, command=(*program, *command.split(), *arguments)) for role, command in roles
    ]
    supervisor = Supervisor(specs, lifecycle, on_ready=lambda: _announce(settings))
    # The children check the configuration themselves, and each restarts with it.
    signal.signal(signal.SIGHUP, lambda _number, _frame: supervisor.hang_up())
    try:
        supervisor.run()
    except ProcessFailed:
        lifecycle.stop.set()
        raise
    lifecycle.finish()


def listen(config: ConfigOption = None, end_with_parent: WithParent = False) -> None:
    """Receive studies by C-STORE and keep the queue in order."""
    from agent.service.wiring import run_listener

    settings, lifecycle = begin("listener", config, end_with_parent=end_with_parent)
    run_listener(settings, database_of(settings), lifecycle)
    lifecycle.finish()


def work(
    challenger: Annotated[
        bool, typer.Option("--challenger", help="Draft with the second model, for comparison only.")
    ] = False,
    config: ConfigOption = None,
    end_with_parent: WithParent = False,
) -> None:
    """Draft the studies that are queued."""
    from agent.service.wiring import run_challenger, run_worker

    if challenger:
        settings, lifecycle = begin("challenger", config, end_with_parent=end_with_parent)
        run_challenger(settings, database_of(settings), lifecycle)
        lifecycle.finish()
        return
    settings, lifecycle = begin("worker", config, end_with_parent=end_with_parent)
    run_worker(settings, database_of(settings), lifecycle)
    lifecycle.finish()


def deliver(config: ConfigOption = None, end_with_parent: WithParent = False) -> None:
    """Send drafts to their destinations."""
    from agent.service.wiring import run_deliverer

    settings, lifecycle = begin("deliverer", config, end_with_parent=end_with_parent)
    run_deliverer(settings, database_of(settings), lifecycle)
    lifecycle.finish()


def housekeep(config: ConfigOption = None, end_with_parent: WithParent = False) -> None:
    """Run the housekeeping in a separate process.

    It completes studies, reclaims expired leases, purges files, and sends audit messages.
    """
    from agent.service.wiring import run_housekeeper

    settings, lifecycle = begin("housekeeping", config, end_with_parent=end_with_parent)
    run_housekeeper(settings, database_of(settings), lifecycle)
    lifecycle.finish()


def begin(role: str, config: Path | None, *, end_with_parent: bool = False) -> tuple[Settings, Lifecycle]:
    """Check the settings and set up logs and signals: the first step of every long-running command."""
    from agent.commands.configuration.check import check
    from agent.foundation.log import configure_logging
    from agent.service.lifecycle import Lifecycle

    settings = check(config_file(config))
    configure_logging(settings.log)
    lifecycle = Lifecycle(role, lambda: check(config_file(config)))
    lifecycle.take_signals()
    if end_with_parent:
        lifecycle.end_with_parent()
    return settings, lifecycle


def _config_arguments(config: Path | None) -> tuple[str, ...]:
    file = config_file(config)
    return () if file is None else ("--config", str(file))


def _announce(settings: Settings) -> None:
    where = f"{settings.listener.host}:{settings.listener.port}"
    print(f"ECHO Agent is ready: {settings.listener.ae_title} at {where}", flush=True)
