"""A power failure in the middle of the work."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO

import pytest
from pydicom import dcmread

from agent.commands.demo.phantom_study import phantom_study
from agent.commands.demo.sending import parcel_of, send
from tests.acceptance.conftest import PATIENCE_S, Agent

STUDIES = 20
# What the killed worker and deliverer had claimed waits until its lease ends.
LEASE_S = 10


@pytest.mark.timeout(900)
def test_kill_in_the_middle_loses_and_doubles_nothing(make_agent: Callable[..., Agent]) -> None:
    """Killed with drafts delivered and studies waiting, then restarted: 20 drafts, none twice."""
    agent = make_agent(changes={"worker": {"lease_s": LEASE_S}, "delivery": {"lease_s": LEASE_S}})
    taken = datetime.now(UTC)
    studies = []
    for number in range(STUDIES):
        study = phantom_study(500 + number, number=number, taken=taken, size=256)
        parcels = [parcel_of(instance, "image") for instance in study.instances]
        sent = send(parcels, host="127.0.0.1", port=agent.port, called="ECHO_AGENT")
        assert all(one.accepted for one in sent)
        studies.append(study.study_instance_uid)
    _wait_for_the_middle(agent, studies)
    agent.kill()
    agent.start()
    outcomes = agent.wait(studies, 2 * PATIENCE_S)
    assert Counter(one.state for one in outcomes.values()) == {"DELIVERED": STUDIES}
    for uid in studies:
        documents = [dcmread(BytesIO(content)) for content in agent.pacs.documents(uid)]
        assert sorted(str(one.SOPClassUID.name).split()[0] for one in documents) == ["Basic", "Comprehensive"]


def _wait_for_the_middle(agent: Agent, studies: list[str]) -> None:
    """Wait until some drafts are delivered while some studies are not drafted yet."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        states = Counter(one.state for one in agent.outcomes(studies).values())
        if states["DELIVERED"] >= 2:
            assert states["DELIVERED"] < STUDIES
            return
        time.sleep(0.05)
    raise AssertionError("nothing was delivered in time")
