"""Both engines return one result per group, in order."""

from __future__ import annotations

import pickle
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from model.evaluate.engines import ray_engine
from model.evaluate.engines.engine import KILLED, EngineMissing, OfflineEngine, Workers
from model.evaluate.engines.ray_engine import run_on_ray
from model.evaluate.engines.run_groups import run_groups


def squares() -> Any:
    """Return the function that a worker runs."""
    return lambda number: number * number


class FakeData:
    """The results of a data set from which some blocks were dropped."""

    def __init__(self, rows: list[dict[str, Any]], killed: set[int]) -> None:
        self._rows, self._killed = rows, killed

    def iter_rows(self) -> Any:
        """Yield the remaining rows."""
        for row in self._rows:
            group = pickle.loads(row["group"])
            if group not in self._killed:
                yield {"number": row["number"], "result": pickle.dumps(group * group)}


def test_plain_engine_returns_results_in_order() -> None:
    """Groups run one after the other; without a group nothing is loaded."""
    assert list(run_groups([3, 1, 2], squares, Workers())) == [9, 1, 4]
    assert list(run_groups([], lambda: pytest.fail("nothing to do"), Workers())) == []


@pytest.mark.parametrize("killed", [{0}, {4}, {1, 2}, {2, 3}, {0, 1, 2, 3, 4}, set()])
def test_groups_whose_worker_was_killed_keep_their_place(
    killed: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the beginning, at the end, several, and across the border of two data sets."""
    monkeypatch.setattr(ray_engine, "WINDOW", 3)
    monkeypatch.setattr(
        ray_engine, "_dataset", lambda _ray, rows, _make, _workers, _gpus: FakeData(list(rows), killed)
    )
    fake = SimpleNamespace(exceptions=SimpleNamespace(RayError=OSError))
    found = list(run_on_ray(fake, range(5), squares, 2))
    assert found == [KILLED if number in killed else number * number for number in range(5)]


def test_missing_packages_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra as pip expects it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineMissing, match=r"echo-agent\[ray\]"):
        list(run_groups([1], squares, Workers(engine=OfflineEngine.RAY)))
