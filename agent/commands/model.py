"""`echo-agent model`: which model drafts, how the challenger compares, and switching between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.common import (
    ConfigOption,
    JsonOption,
    actor,
    console,
    database_of,
    print_json,
    settings_of,
)

if TYPE_CHECKING:
    from agent.database.session import Database
    from agent.foundation.settings.tree import Settings
    from agent.shadow.switching import PairedResult, Place

ReasonOption = Annotated[str, typer.Option("--reason", help="The reason; it is stored with the switch.")]


def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show which checkpoint drafts, which is the challenger, and all switches."""
    from sqlalchemy import select

    from agent.database.tables import ModelSwitch
    from agent.shadow.switching import place_in_use

    settings = settings_of(config)
    database = database_of(settings)
    with database.reading() as session:
        place = place_in_use(session)
        switches = session.scalars(select(ModelSwitch).order_by(ModelSwitch.id)).all()
    digests, problems = _digests_shown(settings)
    if as_json:
        print_json(
            {
                "drafts": place,
                "checkpoints": digests,
                "problems": problems,
                "switches": [
                    {
                        "at": one.at,
                        "actor": one.actor,
                        "reason": one.reason,
                        "place": one.place,
                        "from_digest": one.from_digest,
                        "to_digest": one.to_digest,
                        "studies": one.studies,
                    }
                    for one in switches
                ],
            }
        )
        return
    for name, digest in digests.items():
        print(f"{name:<11} {digest[:16]}  {'drafts' if name == place else 'is compared'}")
    for name, words in problems.items():
        print(f"{name:<11} {words}" + (", although it is to draft" if name == place else ""))
    for one in switches:
        studies = "" if one.studies is None else f", after {one.studies} studies of both"
        print(f"{one.at:%Y-%m-%d %H:%M} UTC  to {one.place} by {one.actor}{studies}: {one.reason}")


def compare(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Compare the challenger with the main model on the studies that both drafted.

    The exit status is 1 if the challenger may not take over.
    """
    from agent.shadow.switching import objections

    settings = settings_of(config)
    result = _paired(settings, database_of(settings))
    refused = objections(result, _minimum(settings))
    if as_json:
        print_json({"result": result, "objections": refused})
        raise typer.Exit(1 if refused else 0)
    _print_paired(result)
    for words in refused:
        print(f"not yet: {words}")
    raise typer.Exit(1 if refused else 0)


def switch(reason: ReasonOption, config: ConfigOption = None) -> None:
    """Let the challenger draft from now on; the main model becomes the challenger.

    Refused if the paired comparison has too few studies, or the challenger is worse in a finding.
    """
    from agent.foundation.model_errors import SwitchRefused
    from agent.shadow.switching import CHALLENGER, objections, write_switch

    settings = settings_of(config)
    database = database_of(settings)
    digests = _digests(settings)
    result = _paired(settings, database)
    refused = objections(result, _minimum(settings))
    if refused:
        raise SwitchRefused("the challenger does not take over: " + "; ".join(refused))
    _check_loads(settings, CHALLENGER)
    with database.transaction() as session:
        write_switch(
            session,
            place=CHALLENGER,
            actor=actor(),
            reason=reason,
            from_digest=digests["main"],
            to_digest=digests["challenger"],
            studies=result.studies,
        )
    print(f"{digests['challenger'][:16]} drafts from now on; workers load it after their present studies")


def back(reason: ReasonOption, config: ConfigOption = None) -> None:
    """Return to the main model; nothing but a reason is needed."""
    from agent.shadow.switching import MAIN, newest_switch, write_switch

    settings = settings_of(config)
    database = database_of(settings)
    main = _digest_of(settings, MAIN)
    with database.transaction() as session:
        newest = newest_switch(session)
        write_switch(
            session,
            place=MAIN,
            actor=actor(),
            reason=reason,
            from_digest="" if newest is None else newest.to_digest,
            to_digest=main,
            studies=None,
        )
    print(f"{main[:16]} drafts from now on; workers load it after their present studies")


def _check_loads(settings: Settings, place: Place) -> None:
    """Refuse a checkpoint that no worker could load: its weights alone do not say that."""
    from agent.foundation.errors import UnusableFile
    from agent.service.models import configured_checkpoint
    from model.network.inspection import inspect_checkpoint

    problems = inspect_checkpoint(configured_checkpoint(settings, place)).problems
    if problems:
        raise UnusableFile(f"the {place} checkpoint does not load: {problems[0]}")


def _digests_shown(settings: Settings) -> tuple[dict[Place, str], dict[Place, str]]:
    """The digests of the configured checkpoints that can be read, and what is wrong with the others."""
    from agent.foundation.errors import UnusableFile

    digests: dict[Place, str] = {}
    problems: dict[Place, str] = {}
    for place in _places(settings):
        try:
            digests[place] = _digest_of(settings, place)
        except UnusableFile as error:
            problems[place] = str(error)
    return digests, problems


def _digests(settings: Settings) -> dict[Place, str]:
    """The digests of the configured checkpoints, from their files."""
    return {place: _digest_of(settings, place) for place in _places(settings)}


def _places(settings: Settings) -> tuple[Place, ...]:
    """The configured checkpoints."""
    from agent.shadow.switching import CHALLENGER, MAIN

    return (MAIN,) if settings.shadow.challenger is None else (MAIN, CHALLENGER)


def _digest_of(settings: Settings, place: Place) -> str:
    from agent.foundation.errors import UnusableFile
    from agent.service.models import configured_checkpoint
    from model.network.weights import scan_weights, weights_sha256

    found = scan_weights(configured_checkpoint(settings, place))
    if found.problems:
        raise UnusableFile(f"the {place} checkpoint cannot be used: {found.problems[0]}")
    return weights_sha256(found.files)


def _minimum(settings: Settings) -> int:
    from agent.foundation.model_errors import SwitchRefused

    if settings.shadow.challenger is None:
        raise SwitchRefused("there is no challenger", remedy="set `shadow.challenger.checkpoint`")
    return settings.shadow.challenger.minimum_studies


def _paired(settings: Settings, database: Database) -> PairedResult:
    from agent.shadow.comparing import challenger_studies, compared_studies
    from agent.shadow.switching import CHALLENGER, MAIN, paired_result

    _minimum(settings)
    digests = _digests(settings)
    with database.reading() as session:
        # Every switch exchanges the roles of the two.
        both = [
            [*compared_studies(session, model_digest=one), *challenger_studies(session, one)]
            for one in (digests[MAIN], digests[CHALLENGER])
        ]
    return paired_result(*both)


def _print_paired(result: PairedResult) -> None:
    from rich.table import Table

    table = Table(title=f"{result.studies} studies of both", title_justify="left", box=None)
    for column in ("finding", "studies", "both right", "only main", "only challenger", "both wrong", "p"):
        table.add_column(column)
    for one in result.concepts:
        numbers = (one.studies, one.both_right, one.only_first, one.only_second, one.both_wrong)
        table.add_row(one.concept, *map(str, numbers), f"{one.p_value:.3f}")
    console().print(table)
