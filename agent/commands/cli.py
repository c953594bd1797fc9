"""`echo-agent`: declares the commands; what they do is elsewhere.

Every command imports what it needs when it is run, so that `--help` answers at once.
"""

from __future__ import annotations

import gc
import os
from typing import Annotated

import typer

from agent.commands import (
    admin,
    backfill,
    database,
    dead,
    draft,
    fhir,
    hl7,
    inspect,
    model,
    purge,
    queue,
    route,
    run,
    senders,
    shadow,
    shadow_calibrate,
    shadow_report,
    sr,
    status,
    ups,
    users,
    web,
)
from agent.commands import demo_command as demo
from agent.commands.common import ClearErrors
from agent.commands.data import data_app

ABOUT = "Drafts chest X-ray reports for a PACS: studies come in, drafts go back as Structured Reports."
app = typer.Typer(
    name="echo-agent",
    cls=ClearErrors,
    help=ABOUT,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # see ClearErrors
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"echo-agent {version('echo-agent')}")
        raise typer.Exit


@app.callback(help=ABOUT)
def main(
    _version_asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Apply the program's own options. Its files contain patients' names: only their owner may read them."""
    os.umask(0o077)
    # Nothing that a command imports is garbage, but with the default threshold the collector visits all of it
    # again and again, which takes a fifth of the start.
    gc.set_threshold(100_000, 20, 100)


def _group(text: str) -> typer.Typer:
    return typer.Typer(help=text, no_args_is_help=True)


queue_app = _group("Show jobs and act on them.")
dead_app = _group("Stopped jobs: why they stopped, what to do, and retries.")
route_app = _group("Why images are drafted or skipped.")
study_app = _group("Show one study, or resolve a patient conflict.")
sr_app = _group("Check and read Structured Reports.")
user_app = _group("People who may sign in to the worklist.")
audit_app = _group("The audit record: who did what.")
hl7_app = _group("Messages of the RIS (HL7 v2).")
fhir_app = _group("Results for FHIR servers.")
ups_app = _group("Drafts as a worklist of Unified Procedure Steps.")
shadow_app = _group("Shadow mode: undelivered drafts, compared with the signed reports.")
model_app = _group("Which model drafts, and the switch to a challenger and back.")
backfill_app = typer.Typer(invoke_without_command=True, callback=backfill.offline)
config_app = _group("Check and show the configuration.")
db_app = _group("The database: schema upgrades, backup and restore.")

app.command("demo")(demo.demo)
app.command("serve")(run.serve)
app.command("listen")(run.listen)
app.command("work")(run.work)
app.command("deliver")(run.deliver)
app.command("housekeep")(run.housekeep)
app.command("web")(web.web)
app.command("draft")(draft.draft)
app.command("status")(status.status)
app.command("metrics")(inspect.metrics)
app.command("doctor")(inspect.doctor)
app.command("senders")(senders.senders)
app.command("purge")(purge.purge)

queue_app.command("list")(queue.list_jobs)
queue_app.command("show")(queue.show)
queue_app.command("retry")(queue.retry)
queue_app.command("cancel")(queue.cancel)
queue_app.command("prioritise")(queue.prioritise)
dead_app.command("list")(dead.dead_list)
dead_app.command("show")(dead.dead_show)
dead_app.command("retry")(dead.dead_retry)
study_app.command("show")(queue.show_study)
route_app.command("explain")(route.explain)
study_app.command("resolve")(queue.resolve)
sr_app.command("validate")(sr.validate)
sr_app.command("show")(sr.show)
audit_app.command("list")(senders.audit_list)
shadow_app.command("import")(shadow.import_reports)
shadow_app.command("status")(shadow.status)
shadow_app.command("agreement")(shadow.agreement)
shadow_app.command("disagreements")(shadow.disagreements)
shadow_app.command("drift")(shadow.drift)
shadow_app.command("models")(shadow.models)
shadow_app.command("report")(shadow_report.report)
shadow_app.command("calibrate")(shadow_calibrate.calibrate)
model_app.command("show")(model.show)
model_app.command("compare")(model.compare)
model_app.command("switch")(model.switch)
model_app.command("back")(model.back)
backfill_app.command("plan")(backfill.plan)
backfill_app.command("run")(backfill.run)
backfill_app.command("status")(backfill.status)
backfill_app.command("stop")(backfill.stop)
backfill_app.command("resume")(backfill.resume)
hl7_app.command("try")(hl7.try_message)
fhir_app.command("try")(fhir.try_bundle)
ups_app.command("serve")(ups.serve)
ups_app.command("list")(ups.list_workitems)
ups_app.command("show")(ups.show)
ups_app.command("watch")(ups.watch)
ups_app.command("cancel")(ups.cancel)
config_app.command("check")(admin.config_check)
config_app.command("show")(admin.config_show)
config_app.command("reference")(admin.config_reference)
user_app.command("add")(web.user_add)
user_app.command("passwd")(web.user_passwd)
user_app.command("list")(users.user_list)
user_app.command("disable")(users.user_disable)
user_app.command("enable")(users.user_enable)
user_app.command("role")(users.user_role)
db_app.command("upgrade")(database.db_upgrade)
db_app.command("backup")(database.db_backup)
db_app.command("restore")(database.db_restore)

app.add_typer(queue_app, name="queue")
app.add_typer(dead_app, name="dead")
app.add_typer(study_app, name="study")
app.add_typer(route_app, name="route")
app.add_typer(sr_app, name="sr")
app.add_typer(audit_app, name="audit")
app.add_typer(shadow_app, name="shadow")
app.add_typer(model_app, name="model")
app.add_typer(backfill_app, name="backfill")
app.add_typer(hl7_app, name="hl7")
app.add_typer(fhir_app, name="fhir")
app.add_typer(ups_app, name="ups")
app.add_typer(config_app, name="config")
app.add_typer(user_app, name="user")
app.add_typer(db_app, name="db")
app.add_typer(data_app, name="data")
