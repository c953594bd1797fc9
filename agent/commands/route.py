"""Explains why an image is drafted or skipped: the evidence in its attributes, and the rule that decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands.common import ConfigOption, JsonOption, print_json, settings_of

if TYPE_CHECKING:
    from agent.objects.films.routing.rules import RoutingDecision
    from agent.objects.films.routing.summary import Summary

_SHOWN_EACH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Explained:
    """One file: its decision, or the code of why it cannot be read."""

    path: Path
    decision: RoutingDecision | None
    code: str = ""


def explain(
    files: Annotated[
        list[Path],
        typer.Argument(
            exists=True, readable=True, help="DICOM files, or folders of them.", show_default=False
        ),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    every: Annotated[bool, typer.Option("--all", help="Explain every image, however many.")] = False,
) -> None:
    """Show for each image which body region its attributes state, how they rank, and which rule decides.

    A summary of the images skipped for their words follows, with the line to add to `config.yaml`. Nothing is
    drafted, stored or sent.
    """
    settings = settings_of(config)
    explained = list(_explained(files, settings))
    summary = _summary(explained)
    if as_json:
        print_json({"images": [_plain(one) for one in explained], "summary": _plain_summary(summary)})
        return
    for one in explained if every else explained[:_SHOWN_EACH]:
        print("\n".join(_lines(one)))
    if len(explained) > _SHOWN_EACH and not every:
        print(f"… and {len(explained) - _SHOWN_EACH} more files (--all explains each)")
    accepted = sum(one.decision is not None and one.decision.accepted for one in explained)
    print(f"\n{accepted} of {len(explained)} accepted")
    for line in summary.texts:
        print(line)
    if summary.lines:
        print(f"If these show a chest, add to config.yaml:\n\n{summary.lines}")


def _explained(paths: Iterable[Path], settings: Any) -> Iterator[_Explained]:
    from agent.foundation.errors import AgentError
    from agent.objects.films.routing.rules import router_of
    from agent.objects.header import read_stored

    router = router_of(settings)
    for path in _files(paths):
        try:
            yield _Explained(path=path, decision=router.decide(read_stored(path)))
        except AgentError as error:
            yield _Explained(path=path, decision=None, code=error.code)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.is_file())
        else:
            yield path


def _summary(explained: Iterable[_Explained]) -> Summary:
    from agent.objects.films.routing.summary import Skipped, summarise

    decisions = [one.decision for one in explained if one.decision is not None]
    return summarise(
        len(decisions),
        (
            Skipped(
                rule=one.rule,
                words=one.words or (one.region.evidence[0].value if one.region.evidence else ""),
                region=one.region.name,
                modality=one.header.modality.strip().upper(),
            )
            for one in decisions
            if one.for_words
        ),
    )


def _lines(one: _Explained) -> Iterator[str]:
    if one.decision is None:
        yield f"{one.path.name}: not readable [{one.code}]"
        return
    decision = one.decision
    verb = "accepted" if decision.accepted else "skipped"
    yield f"{one.path.name}: {verb} by rule `{decision.rule}` (region: {decision.region.name})"
    for said in decision.region.evidence:
        means = ", ".join(sorted(said.regions)) or "not understood"
        guess = f", read as {said.character_set}: no character set is declared" if said.character_set else ""
        decides = " *" if said in decision.region.decisive else ""
        yield f"    {said.rank.name.lower():6} {said.attribute}: {said.value!r} -> {means}{guess}{decides}"
    if not decision.region.evidence:
        yield "    no attribute says anything of the region"


def _plain(one: _Explained) -> dict[str, Any]:
    if one.decision is None:
        return {"file": str(one.path), "decision": "unreadable", "code": one.code}
    decision = one.decision
    return {
        "file": str(one.path),
        "decision": "accept" if decision.accepted else "skip",
        "rule": decision.rule,
        "region": decision.region.name,
        "rank": None if decision.region.rank is None else decision.region.rank.name.lower(),
        "modality": decision.header.modality,
        "evidence": [
            {
                "attribute": said.attribute,
                "rank": said.rank.name.lower(),
                "value": said.value,
                "regions": sorted(said.regions),
                "not_understood": list(said.unknown),
                "character_set_guessed": said.character_set or None,
                "decisive": said in decision.region.decisive,
            }
            for said in decision.region.evidence
        ],
    }


def _plain_summary(summary: Summary) -> dict[str, Any]:
    return {
        "images": summary.images,
        "skipped_for_words": summary.skipped,
        "rules": [{"rule": one.rule, "count": one.count, "words": dict(one.words)} for one in summary.rules],
        "texts": list(summary.texts),
        "config_lines": summary.lines,
    }
