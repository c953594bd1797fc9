"""Drafts files without receiving, queueing or sending: to try a checkpoint, or one study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agent.foundation.clock import Clock, SystemClock
from agent.foundation.errors import UnusableFile
from agent.foundation.failure import describe
from agent.foundation.settings.tree import Settings
from agent.objects.films.routing.rules import Router, router_of
from agent.objects.films.study import read_study
from agent.objects.header import Header, read_stored
from agent.reports.compose import algorithm_of, draft_record
from agent.reports.material import Material, flags_of, indication_of
from agent.reports.publish import Record
from agent.service.wiring import load_reporter
from dicom_sr.document import encode
from model.findings.types import Presence
from model.findings.vocabulary import put_in_force

if TYPE_CHECKING:
    from model.drafts.draft import DraftText
    from model.reporting.reporter import Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """The outcome for one study: DRAFTED, SKIPPED by a rule, or FAILED."""

    study_instance_uid: str
    state: str
    code: str | None = None
    reason: str | None = None
    text: str = ""
    findings: Mapping[str, Sequence[str]]
    flags: Sequence[str] = ()
    sr: Sequence[Path] = ()


def draft_files(
    paths: Iterable[Path], settings: Settings, output: Path | None, *, clock: Clock | None = None
) -> tuple[Drafted, ...]:
    """Draft every study among the files; a file that is not a DICOM image fails alone.

    Raises:
        ModelError: the checkpoint does not load.
        SettingsError: the site's vocabulary cannot be used.
    """
    groups, failed = by_study(files_of(paths))
    run = run_of(settings, clock)
    made = (draft_alone(uid, files, run) for uid, files in groups.items())
    return (*failed, *(_kept(one, documents, output) for one, documents in made))


def draft_records(
    paths: Iterable[Path], settings: Settings, *, clock: Clock | None = None
) -> tuple[Record, ...]:
    """Draft every study among the files that a rule accepts; return the records as a worker would write them.

    Raises:
        ModelError: the checkpoint does not load.
        UnusableFile: a file is not a DICOM image, or no study is accepted.
        AgentError, StructuredReportError: a study cannot be drafted.
    """
    groups, failed = by_study(files_of(paths))
    run = run_of(settings, clock)
    if failed:
        raise UnusableFile(f"{failed[0].study_instance_uid}: {failed[0].reason}")
    records = []
    for uid, files in groups.items():
        selection = run.router.select([header for _path, header in files])
        if not selection.accepted:
            raise UnusableFile(f"study {uid}: {selection.reason}")
        _, record = _record(files, selection.accepted, run)
        records.append(record)
    return tuple(records)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRun:
    """What the studies of one call have in common."""

    settings: Settings
    router: Router
    reporter: Reporter
    moment: datetime


def run_of(settings: Settings, clock: Clock | None) -> DraftRun:
    """Load the network; `clock` gives the time in all documents.

    Raises:
        ModelError: the checkpoint does not load, or the vocabulary of findings cannot be used.
        SettingsError: the vocabulary of routing cannot be used.
    """
    # Also here: a worker of the offline backfill is a process of its own.
    put_in_force(settings.findings.vocabulary)
    return DraftRun(
        settings=settings,
        router=router_of(settings),
        reporter=load_reporter(settings),
        moment=(clock or SystemClock()).now().astimezone(),
    )


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield files, and those in folders, ordered by name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.is_file())
        else:
            yield path


def by_study(paths: Iterable[Path]) -> tuple[dict[str, list[tuple[Path, Header]]], list[Drafted]]:
    """Return the files by Study Instance UID, and a failure for each one that is not a DICOM image."""
    groups: dict[str, list[tuple[Path, Header]]] = {}
    failed = []
    for path in paths:
        try:
            header = read_stored(path)
        except Exception as error:  # noqa: BLE001 - outermost for one file: the others are read all the same
            failed.append(_failed(path.name, error))
            continue
        groups.setdefault(header.study_instance_uid, []).append((path, header))
    return groups, failed


def draft_alone(
    uid: str, files: Sequence[tuple[Path, Header]], run: DraftRun
) -> tuple[Drafted, Mapping[str, bytes]]:
    """Return the outcome for a study, and its documents by role; a failure does not affect other studies."""
    try:
        return _draft(uid, files, run)
    except Exception as error:  # noqa: BLE001 - outermost for one study: the others are drafted all the same
        return _failed(uid, error), {}


def _draft(
    uid: str, files: Sequence[tuple[Path, Header]], run: DraftRun
) -> tuple[Drafted, Mapping[str, bytes]]:
    selection = run.router.select([header for _path, header in files])
    if not selection.accepted:
        skipped = Drafted(
            study_instance_uid=uid,
            state="SKIPPED",
            code=selection.skipping_rule,
            reason=selection.reason,
            findings={},
        )
        return skipped, {}
    draft, record = _record(files, selection.accepted, run)
    pair = record.documents["comprehensive3d"]
    documents = {"findings": encode(pair.findings), "report": encode(pair.report)}
    drafted = Drafted(
        study_instance_uid=uid,
        state="DRAFTED",
        text=draft.text,
        findings={
            presence.value: tuple(
                dict.fromkeys(one.concept for one in draft.findings if one.presence is presence)
            )
            for presence in Presence
        },
        flags=tuple(flag["text"] for flag in record.content["flags"]),
    )
    return drafted, documents


def _record(
    files: Sequence[tuple[Path, Header]], chosen: Sequence[Header], run: DraftRun
) -> tuple[DraftText, Record]:
    """Return the network's draft of the chosen images, and its record."""
    accepted = {id(header) for header in chosen}
    material = _material([path for path, header in files if id(header) in accepted], run)
    (draft,) = run.reporter.draft_many([(material.images, material.context)])
    record = draft_record(
        draft,
        material,
        algorithm_of(run.reporter.identity),
        run.settings.urgency,
        revision=1,
        created=run.moment,
        predecessors={"comprehensive3d": None},
    )
    return draft, record


def _material(paths: Sequence[Path], run: DraftRun) -> Material:
    read = read_study(paths, least_px=run.settings.plausibility.least_px, vocabulary=run.router.vocabulary)
    return Material(
        images=read.images,
        indication=indication_of([image.header for image in read.images]),
        flags=flags_of(read, incomplete=False),
        lines=read.lines,
    )


def _kept(drafted: Drafted, documents: Mapping[str, bytes], output: Path | None) -> Drafted:
    if output is None or not documents:
        return drafted
    try:
        return replace(drafted, sr=_write(output / drafted.study_instance_uid, documents))
    except Exception as error:  # noqa: BLE001 - outermost for one study, as above
        return _failed(drafted.study_instance_uid, error)


def _write(folder: Path, documents: Mapping[str, bytes]) -> tuple[Path, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    for role, content in documents.items():
        (folder / f"{role}.dcm").write_bytes(content)
    return tuple(folder / f"{role}.dcm" for role in documents)


def _failed(name: str, error: Exception) -> Drafted:
    """Return the line for a file or study that failed; for a foreign exception only its type is named."""
    failure = describe(error)
    return Drafted(
        study_instance_uid=name, state="FAILED", code=failure.code, reason=failure.reason, findings={}
    )
