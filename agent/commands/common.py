"""Common parts of the commands: the configuration option, output, and errors as one clear line."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from agent.foundation.errors import AgentError
from dicom_sr.errors import StructuredReportError
from model.errors import ModelError

if TYPE_CHECKING:
    from rich.console import Console

    from agent.database.session import Database
    from agent.foundation.settings.tree import Settings
    from agent.queue.operator import OperatorContext

DEFAULT_CONFIG = Path("config.yaml")
ERROR_STATUS = 2
UNEXPECTED_STATUS = 70  # EX_SOFTWARE
PIPE_WIDTH = 200  # columns if the output is not a terminal
DEBUG_VARIABLE = "ECHO_AGENT_DEBUG"

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="ECHO_AGENT_CONFIG",
        help="Configuration file; default: `config.yaml` in this folder if there is one, else the default "
        "settings.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs.")]


class ClearErrors(typer.core.TyperGroup):
    """Turns the errors that we raise intentionally into one clear message and exit status 2.

    For any other error only the place and the type are printed, because its text may quote a patient's
    attributes; ECHO_AGENT_DEBUG=1 in the environment shows everything.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        as_json = "--json" in (*getattr(ctx, "_protected_args", ()), *ctx.args)
        try:
            return super().invoke(ctx)
        except (AgentError, ModelError, StructuredReportError) as error:
            _print_error(error, as_json=as_json)
            raise typer.Exit(ERROR_STATUS) from error
        except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError):
            raise
        except Exception as error:  # outermost of the program: a library's text must not reach the screen
            if os.environ.get(DEBUG_VARIABLE):
                raise
            for frame in traceback.extract_tb(error.__traceback__):
                print(f"  {frame.filename}:{frame.lineno} in {frame.name}", file=sys.stderr)
            print(
                f"echo-agent: an unexpected {type(error).__name__}; {DEBUG_VARIABLE}=1 shows its text, which "
                "may quote patient data [unexpected]",
                file=sys.stderr,
            )
            raise typer.Exit(UNEXPECTED_STATUS) from None


def _print_error(error: AgentError | ModelError | StructuredReportError, *, as_json: bool) -> None:
    """Print an error for people, and with `--json` for programs too: text, code and hint are the same."""
    hint = error.advice if isinstance(error, AgentError) else ""
    text = error.finding if isinstance(error, AgentError) else str(error)
    print(f"echo-agent: {text} [{error.code}]", file=sys.stderr)
    if hint:
        print(f"  -> {hint}", file=sys.stderr)
    if as_json:
        said = {"code": error.code, "text": text, "hint": hint, "retryable": error.retryable}
        print_json({"error": said})


def settings_of(config: Path | None) -> Settings:
    """Load the settings that a command works with; texts are read with the hospital's vocabulary.

    The vocabulary's file is read where it is first needed: a mistake in it does not stop `status`.

    Raises:
        SettingsError: the file or the environment has problems; all are listed.
    """
    from agent.foundation.settings.load import load_settings
    from model.findings.vocabulary import put_in_force_unread

    settings = load_settings(config_file(config))
    put_in_force_unread(settings.findings.vocabulary)
    return settings


def config_file(config: Path | None) -> Path | None:
    """Return the configuration file of a command: the named one, else the one in this folder."""
    return DEFAULT_CONFIG if config is None and DEFAULT_CONFIG.is_file() else config


def database_of(settings: Settings, *, create: bool = False) -> Database:
    """Open the database and check its schema; with `create`, set up an empty one.

    Raises:
        SchemaOutdated: its schema is not the one that this version needs.
        DatabaseUnavailable: it does not answer.
    """
    from agent.database import migrate
    from agent.database.service_keys import LOG_HASH, service_key
    from agent.foundation.log import use_hash_key
    from agent.service.private_files import make_private
    from agent.service.wiring import open_database

    make_private(settings)
    database = open_database(settings)
    try:
        migrate.require_current(database, create=create)
        use_hash_key(settings.log.hash_key or service_key(database, LOG_HASH))
    except AgentError:
        database.close()
        raise
    return database


def operator_context_of(settings: Settings) -> OperatorContext:
    """Open what the operator's commands on jobs need: the database, the images and the settings.

    Raises:
        SchemaOutdated, DatabaseUnavailable: as `database_of`.
    """
    from agent.queue.operator import OperatorContext
    from agent.service.wiring import open_store

    return OperatorContext(database=database_of(settings), store=open_store(settings), settings=settings)


def print_json(value: Any) -> None:
    """Print a value as one line of JSON; times in ISO 8601, data classes and mappings as objects."""
    from agent.commands.as_json import to_json

    print(to_json(value))


def console() -> Console:
    """Return the console on standard output."""
    from rich.console import Console

    screen = Console(highlight=False)
    if not screen.is_terminal:
        screen.width = PIPE_WIDTH
    return screen


def record_command(database: Database, action: str, *, study: str | None = None, **details: Any) -> None:
    """Record an audit event for the person who gives the command; `study` is a Study Instance UID.

    Raises:
        DatabaseUnavailable: nothing was recorded, so nothing may be shown.
    """
    from sqlalchemy import select

    from agent.database.audit.record import Action, Event, record
    from agent.database.tables import Study

    with database.transaction() as session:
        found = None
        if study is not None:
            found = session.scalar(select(Study.id).where(Study.study_instance_uid == study))
        record(session, Event(action=Action(action), actor=actor(), study_id=found, details=details))


def actor() -> str:
    """Return who gives the command, for the history of a job."""
    import getpass

    return f"cli:{getpass.getuser()}"
