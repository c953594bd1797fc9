"""Commands for the worklist of Unified Procedure Steps: serve it, show it, cancel what is scheduled."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agent.commands.common import (
    ConfigOption,
    JsonOption,
    actor,
    console,
    database_of,
    print_json,
    record_command,
    settings_of,
)
from agent.commands.run import WithParent, begin

WorkitemArgument = Annotated[str, typer.Argument(help="SOP Instance UID, as shown by `ups list`.")]
COLUMNS = ("uid", "state", "priority", "input", "percent", "doing", "label")


def serve(config: ConfigOption = None, end_with_parent: WithParent = False) -> None:
    """Serve the worklist over DIMSE and UPS-RS, and perform for the managers in the settings."""
    from agent.service.worklist import run_worklist

    settings, lifecycle = begin("ups", config, end_with_parent=end_with_parent)
    run_worklist(settings, database_of(settings), lifecycle)
    lifecycle.finish()


def list_workitems(
    config: ConfigOption = None,
    state: Annotated[
        str | None, typer.Option(help="SCHEDULED, IN PROGRESS, COMPLETED or CANCELED; default: all.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, urgent ones first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List workitems with their progress, urgent ones first."""
    from rich.table import Table

    from agent.ris.ups.terms import StepState

    chosen = None if state is None else state.upper().replace("_", " ")
    if chosen is not None and chosen not in set(StepState):
        raise typer.BadParameter(f"the states are {', '.join(StepState)}", param_hint="--state")
    lines = _lines(settings_of(config), chosen, limit)
    if as_json:
        print_json(lines)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("workitem", "state", "priority", "input", "%", "doing", "label"):
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*(str(line[key]) for key in COLUMNS))
    console().print(table if lines else "no workitems")


def show(uid: WorkitemArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one workitem with all its attributes; the Transaction UID is never shown."""
    from agent.foundation.errors import NotFound
    from agent.ris.ups.manager import Manager
    from agent.ris.ups.records import as_json as json_of

    database = database_of(settings_of(config))
    reply = Manager(database).get(uid)
    if reply.dataset is None:
        raise NotFound("there is no such workitem")
    record_command(database, "view")
    if as_json:
        print_json(json_of(reply.dataset))
    else:
        print(reply.dataset)


def watch(
    config: ConfigOption = None,
    url: Annotated[
        str | None, typer.Option(help="Address of UPS-RS; default: `ups.watch.url`, or our own.")
    ] = None,
    ae_title: Annotated[
        str, typer.Option(help="AE title of this station, for its subscription.")
    ] = "WATCHER",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of each state.")] = 20,
) -> None:
    """Watch a worklist as a reading station does.

    Without a terminal each change is printed. TLS and credentials are those of `ups.watch`; without them
    the token is the setting `ups.token`.
    """
    from agent.commands.ups_screen import WorklistScreen
    from agent.network.web_session import authorization_header
    from agent.ris.ups.watcher import Watcher

    ups = settings_of(config).ups
    scheme = "https" if ups.tls_certificate else "http"
    address = url or ups.watch.url or f"{scheme}://{ups.http_host}:{ups.http_port}"
    signed = f"Bearer {ups.token}" if ups.token else ""
    if ups.watch.credentials is not None:
        signed = authorization_header(ups.watch.credentials)
    with WorklistScreen(address) as screen:
        Watcher(address, ae_title, authorization=signed, tls=ups.watch.tls, limit=limit).watch(
            screen.show, screen.stop
        )


def cancel(
    uid: WorkitemArgument,
    config: ConfigOption = None,
    reason: Annotated[str, typer.Option(help="Why. No patient's data, please.")] = "by hand",
) -> None:
    """Request the cancellation of a workitem, as a reading station would."""
    from pydicom import Dataset

    from agent.foundation.errors import InvalidTransition
    from agent.ris.ups.manager import Manager

    information = Dataset()
    information.ReasonForCancellation = reason
    database = database_of(settings_of(config))
    reply = Manager(database, actor=actor()).request_cancel(uid, information, "")
    if reply.status.failed or reply.status:
        raise InvalidTransition(f"the workitem is not canceled: {reply.status.name} (0x{reply.status:04X})")
    print(f"cancellation of {uid} was requested")


def _lines(settings: Any, state: str | None, limit: int) -> list[dict[str, Any]]:
    from pydicom import Dataset

    from agent.ris.ups.manager import Manager
    from agent.ris.ups.records import as_dataset

    keys = Dataset()
    keys.SOPInstanceUID, keys.ProcedureStepState = "", state or ""
    keys.ScheduledProcedureStepPriority = keys.InputReadinessState = keys.ProcedureStepLabel = ""
    keys.ProcedureStepProgressInformationSequence = []
    found = Manager(database_of(settings)).find(keys, limit=limit)
    return [_line(as_dataset(one)) for one in found]


def _line(item: Any) -> dict[str, Any]:
    from pydicom import Dataset

    said = (item.get("ProcedureStepProgressInformationSequence") or [Dataset()])[0]
    doing = said.get("ProcedureStepProgressDescription") or said.get("ReasonForCancellation") or ""
    return {
        "uid": str(item.SOPInstanceUID),
        "state": str(item.ProcedureStepState),
        "priority": str(item.ScheduledProcedureStepPriority),
        "input": str(item.InputReadinessState),
        "percent": "" if "ProcedureStepProgress" not in said else f"{float(said.ProcedureStepProgress):.0f}",
        "doing": str(doing),
        "label": str(item.ProcedureStepLabel),
    }
