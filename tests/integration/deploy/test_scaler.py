"""The queries of the chart's autoscaler, on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import helm_python
import pytest
import yaml
from sqlalchemy import text

from agent.database.session import Database, database_now
from tests.unit.agent.rows import add_job, add_study

pytestmark = pytest.mark.integration


def test_scaler_queries_count_each_lanes_due_and_running_jobs(
    both_databases: Database, repository: Path
) -> None:
    """Jobs that wait for a later time, or have ended, request no worker."""
    if both_databases.is_sqlite:
        pytest.skip("KEDA's scaler asks PostgreSQL")
    with both_databases.transaction() as session:
        now = database_now(session)
        for number, (lane, state, due) in enumerate(
            (
                ("stat", "QUEUED", now),
                ("routine", "QUEUED", now),
                ("routine", "GENERATING", now),
                ("routine", "QUEUED", now + timedelta(hours=1)),
                ("routine", "DELIVERED", now),
                ("backfill", "QUEUED", now),
            )
        ):
            add_job(session, add_study(session, f"1.2.{number}", at=now), state, at=due, lane=lane)
    with helm_python.Chart.load(str(repository / "deploy" / "chart")) as chart:
        files = chart.render({}, name="demo", namespace="radiology")
    (scaled,) = [
        one
        for one in yaml.safe_load_all(files["echo-agent/templates/scaler.yaml"])
        if one["kind"] == "ScaledObject"
    ]
    with both_databases.reading() as session:
        counts = {
            one["name"]: session.scalar(text(one["metadata"]["query"])) for one in scaled["spec"]["triggers"]
        }
    assert counts == {"stat": 1, "routine": 2, "shadow": 0, "backfill": 1}
