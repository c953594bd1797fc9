"""`senders` shows who sends and what was refused; `audit list` shows who did what."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.commands.common import (
    ConfigOption,
    JsonOption,
    console,
    database_of,
    print_json,
    record_command,
    settings_of,
)
from agent.commands.queue import shown_time
from agent.foundation.counted import counted


def senders(
    days: Annotated[float, typer.Option(min=0.01, max=3660, help="How far back, in days.")] = 7.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who sends, how much, and what was refused, with what to change."""
    from rich.markup import escape

    from agent.operations.refusal_advice import refusal_advice, wanted
    from agent.operations.senders import read_senders

    settings = settings_of(config)
    found = read_senders(database_of(settings), days=days)
    if as_json:
        advice = [
            {"refusal": one, "advice": refusal_advice(one, settings.listener)}
            for sender in found.senders
            for one in sender.refusals
        ]
        print_json({"senders": found, "advice": advice})
        return
    screen = console()
    for sender in found.senders:
        screen.print(
            f"[bold]{escape(sender.ae_title or '(no AE title)')}[/] at {escape(sender.address)}: "
            f"{counted(sender.associations, 'association')}, {counted(sender.objects, 'object')}, "
            f"{sender.refused} refused, "
            f"last {shown_time(sender.last_at)}"
        )
        for one in sender.refusals:
            called = f", called {one.called_ae_title}" if one.called_ae_title else ""
            proposal = f"; {wanted(one)}" if wanted(one) else ""
            screen.print(f"    {escape(f'{one.count} x {one.reason_code}{called}{proposal}')}")
            screen.print(f"    [green]→[/] {escape(refusal_advice(one, settings.listener))}")
    for title, size in sorted(found.bytes_by_title.items()):
        screen.print(f"{escape(title)}: {size / 1e6:.1f} MB of images received")
    if not found.senders:
        screen.print("nothing has been sent here")


def audit_list(
    days: Annotated[float, typer.Option(min=0.01, max=3660, help="How far back, in days.")] = 1.0,
    action: Annotated[
        str | None, typer.Option(help="Only this action, such as association-refused or sign-in.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only what failed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many, newest first.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who did what, the newest first; reading the record is audited too."""
    from agent.database.audit.listing import list_events
    from agent.database.audit.record import Action

    actions = [one.value for one in Action]
    if action is not None and action not in actions:
        raise typer.BadParameter(f"there is no action {action}; there are {', '.join(actions)}")
    database = database_of(settings_of(config))
    chosen = Action(action) if action is not None else None
    found = list_events(database, days=days, action=chosen, failed=failed, limit=limit)
    record_command(database, "audit-read", count=len(found))
    if as_json:
        print_json({"events": found})
        return
    for one in found:
        details = " ".join(f"{name}={value}" for name, value in sorted(one.details.items()))
        mark = "" if one.succeeded else " FAILED"
        where = f" at {one.address}" if one.address else ""
        study = f" study {one.study_instance_uid}" if one.study_instance_uid else ""
        print(f"{shown_time(one.at)}  {one.action}{mark}  {one.actor}{where}{study}  {details}".rstrip())
    if not found:
        print("nothing is on record")
