"""The documented dashboard and alert rules use existing metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from agent.database.session import Database
from agent.database.tables import Quarantined, Worker
from agent.foundation.settings.tree import AuditSettings, DestinationSettings, Settings, StorageSettings
from agent.operations.health import Level
from agent.operations.metrics import exposition
from agent.operations.status import read_status
from tests.unit.agent.rows import add_draft, add_job, add_study, now_of
from tests.unit.test_docs import commands

SELECTOR = re.compile(r"(echo_agent_\w+)(?:\{([^}]*)\})?")
# How a text tells the person on call what to do: a command to run, or a place to look at.
ACTION = re.compile(r"`(?:echo-agent|systemctl) |\b(?:Look at|Free space|check)\b")
LABEL = re.compile(r"(\w+)\s*(=~|!=|!~|=)\s*\"([^\"]*)\"")


@pytest.fixture
def metrics(database: Database, tmp_path: Path) -> dict[str, list[dict[str, str]]]:
    """Every metric of a service in which every event occurs, with its labels."""
    settings = Settings(
        storage=StorageSettings(path=tmp_path, min_free_mb=1),
        destinations=(DestinationSettings(name="pacs", host="127.0.0.1", port=1, ae_title="PACS"),),
        audit=AuditSettings(file=tmp_path / "audit.xml"),
    )
    now = now_of(database)
    at = now - timedelta(minutes=1)
    about: dict[str, dict[str, Any]] = {
        "listener": {"associations": 1, "counts": {"status-0000": 1}},
        "worker": {"model": "m", "gpu_memory_used": 1, "gpu_memory_total": 2},
        "deliverer": {"answers": {"pacs": {"reachable": True, "words": "", "at": at.isoformat()}}},
    }
    with database.transaction() as session:
        job = add_job(session, add_study(session, "1.1", at=at), "DELIVERED", at=at)
        add_draft(session, job, at=at, stored_after_s=2)
        add_job(session, add_study(session, "1.2", at=at), "SKIPPED", at=at, code="rule")
        session.add(Quarantined(sha256="a" * 64, code="instance-unreadable", size_bytes=1, received_at=at))
        for role, said in about.items():
            session.add(Worker(id=role, role=role, host="h", pid=1, about=said, started_at=at, seen_at=now))
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(
        exposition(read_status(database, settings), settings).decode()
    ):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def dashboard(repository: Path) -> dict[str, Any]:
    """Read the dashboard."""
    found: dict[str, Any] = json.loads((repository / "docs" / "grafana-dashboard.json").read_text("utf-8"))
    return found


def rules(repository: Path) -> list[dict[str, Any]]:
    """Read the alert rules."""
    loaded = yaml.safe_load((repository / "docs" / "alerts.yml").read_text("utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def expressions(repository: Path) -> Iterator[str]:
    """Yield every PromQL expression of both files."""
    for panel in dashboard(repository)["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for rule in rules(repository):
        yield rule["expr"]


def test_every_metric_that_is_asked_for_exists(
    repository: Path, metrics: dict[str, list[dict[str, str]]]
) -> None:
    """Each metric has its labels, with values that they can have."""
    unknown = []
    for expression in expressions(repository):
        for name, selector in SELECTOR.findall(expression):
            labels = LABEL.findall(selector)
            if name not in metrics:
                unknown.append(name)
            for label, operator, value in labels:
                if label == "instance":  # Prometheus adds this label
                    continue
                known = {one.get(label) for one in metrics.get(name, [])}
                if label == "level" and None not in known:  # a problem of any level may occur
                    known = {level.name.lower() for level in Level}
                wanted = value.split("|") if operator == "=~" else [value]
                unknown.extend(f"{name}{{{label}={one}}}" for one in wanted if one not in known)
    assert unknown == []


def test_every_metric_is_on_the_dashboard(repository: Path, metrics: dict[str, list[dict[str, str]]]) -> None:
    """No metric is collected without being displayed."""
    seen = {name for one in expressions(repository) for name, _ in SELECTOR.findall(one)}
    assert set(metrics) - seen == {"echo_agent_info"}


def test_alerts_say_what_to_do(repository: Path) -> None:
    """Each rule has its own name, a severity, a delay, and a text with a step for the person on call."""
    found = rules(repository)
    assert len({rule["alert"] for rule in found}) == len(found)
    for rule in found:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["annotations"]["summary"].endswith(".")
        description = rule["annotations"]["description"]
        assert ACTION.search(description), rule["alert"]
        assert set(re.findall(r"`echo-agent ([a-z]+(?: [a-z]+)?)", description)) <= set(commands())


def test_expressions_are_balanced(repository: Path) -> None:
    """Every opening bracket and quotation mark is closed."""
    for expression in expressions(repository):
        bare = re.sub(r"\"[^\"]*\"", "", expression)
        assert '"' not in bare, expression
        for opens, closes in ("()", "{}", "[]"):
            assert bare.count(opens) == bare.count(closes), expression


def test_panels_do_not_overlap(repository: Path) -> None:
    """Each panel has its own place in the 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in dashboard(repository)["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
