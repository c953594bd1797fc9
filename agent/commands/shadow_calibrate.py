"""`echo-agent shadow calibrate`: probabilities of findings, fitted on signed reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.common import ConfigOption, JsonOption, actor, database_of, print_json, settings_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def calibrate(
    model: Annotated[
        str, typer.Option(help="Beginning of the model's digest; default: the newest model.")
    ] = "",
    store: Annotated[bool, typer.Option("--store", help="Use it for the model's next drafts.")] = False,
    stop: Annotated[
        bool, typer.Option("--stop", help="Use no calibration for the model's next drafts.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit the probability of a drafted finding on half of the signed reports; judge it on the others."""
    from agent.shadow.certainty import calibrate as fit_and_judge
    from agent.shadow.certainty import end_use, objection, read_halves
    from agent.shadow.certainty import store as put_into_use

    if store and stop:
        raise typer.BadParameter("--store and --stop are opposites: give one of them", param_hint="--stop")
    database = database_of(settings_of(config))
    with database.reading() as session:
        digest = _digest(session, model)
    if stop:
        with database.transaction() as session:
            end_use(session, digest)
        print(f"the next drafts of {digest[:16]} have no probabilities")
        return
    with database.reading() as session:
        found = fit_and_judge(read_halves(session, digest))
    if store:
        with database.transaction() as session:
            put_into_use(session, digest, found, actor())
    if as_json:
        print_json({"model_digest": digest, "stored": store, "found": found, "objection": objection(found)})
        return
    judged = found.reliability
    print(f"model {digest[:16]}, calibration {found.digest[:16]}")
    print(f"fitted on {found.calibration.fitted} findings, judged on {judged.count} others")
    print(f"expected calibration error {judged.error:.3f}")
    for one in judged.bins:
        print(f"  stated {one.stated:.2f}  signed {one.signed:.2f}  ({one.count})")
    print(f"not usable: {why}" if (why := objection(found)) else ("in use" if store else "usable: --store"))


def _digest(session: Session, beginning: str) -> str:
    """Return the digest of the model that is named, or of the newest compared draft."""
    from sqlalchemy import select

    from agent.database.tables import ShadowComparison
    from agent.foundation.errors import NotFound
    from agent.shadow.known import model_digest

    compared = select(ShadowComparison.model_digest).order_by(ShadowComparison.id.desc()).limit(1)
    if beginning:
        compared = compared.where(ShadowComparison.model_digest == model_digest(session, beginning))
    digest = session.scalar(compared)
    if digest is None:
        raise NotFound("no draft of such a model is compared with a signed report")
    return str(digest)
