"""The plan of the rooms: violations of the rules are found, and the drawing in the documents is current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import grimp
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import rooms
from rooms_svg import reduction


def graph_of(*imports: str) -> grimp.ImportGraph:
    """Return a graph of imports, each written `importer > imported`, as grimp would find it."""
    graph: Any = grimp.ImportGraph()
    for one in imports:
        importer, imported = one.split(" > ")
        for name in (
            importer,
            imported,
            *(each.rpartition(".")[0] for each in (importer, imported)),
            "agent",
        ):
            graph.add_module(name)
        graph.add_import(importer=importer, imported=imported)
    return graph  # type: ignore[no-any-return]


def test_rooms_that_import_each_other_are_a_fault() -> None:
    """Neither room of such a pair can be on the upper floor."""
    plan = rooms.survey("agent", graph_of("agent.web.a > agent.queue.b", "agent.queue.c > agent.web.d"))
    assert plan.faults == ["queue and web import each other"]


def test_files_in_a_circle_are_a_fault() -> None:
    """This also holds within one room."""
    plan = rooms.survey("agent", graph_of("agent.web.a > agent.web.b", "agent.web.b > agent.web.a"))
    assert any("circle" in fault for fault in plan.faults)


def test_public_classes_of_one_name_are_a_fault(tmp_path: Path) -> None:
    """Private classes may share a name, and so may a class and a function."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "a.py").write_text("class Line: ...\nclass _Row: ...\nclass Page: ...\n")
    (tmp_path / "queue.py").write_text("class Line: ...\nclass _Row: ...\ndef Page(): ...\n")
    found = rooms.same_names(tmp_path)
    plan = rooms.survey("agent", graph_of(), found)
    assert found == {"Line": ["queue.py", "web/a.py"]}
    assert plan.faults == [
        "a public class Line in each of queue.py, web/a.py: give one the word of its field"
    ]


def test_public_class_with_a_word_that_says_nothing_is_a_fault(tmp_path: Path) -> None:
    """`StoreOutcome` names its field; `Outcome` alone does not."""
    (tmp_path / "one.py").write_text("class Outcome: ...\nclass StoreOutcome: ...\nclass _Status: ...\n")
    plan = rooms.survey("agent", graph_of(), rooms.same_names(tmp_path))
    assert plan.faults == ["a public class is only named Outcome in one.py: name its field too"]


def test_pairs_are_counted_by_room() -> None:
    """Two imports between two rooms are one pair; the ground is not a room."""
    plan = rooms.survey(
        "agent",
        graph_of("agent.web.a > agent.queue.b", "agent.web.c > agent.queue.b", "agent.web.a > agent.errors"),
    )
    assert (plan.pairs, plan.faults) == ({("web", "queue"): 2}, [])


@pytest.mark.parametrize(
    ("pairs", "left"),
    [
        ({("a", "b"), ("b", "c"), ("a", "c")}, {("a", "b"), ("b", "c")}),
        ({("a", "b"), ("a", "c")}, {("a", "b"), ("a", "c")}),
        ({("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")}, {("a", "b"), ("b", "c"), ("c", "d")}),
    ],
)
def test_drawing_leaves_out_what_follows(pairs: set[tuple[str, str]], left: set[tuple[str, str]]) -> None:
    """An arrow that is implied by a chain of others is not drawn."""
    assert left == reduction(pairs)


def test_drawing_is_current(repository: Path, tmp_path: Path) -> None:
    """`make drawing` was run after the last change of rooms, floors, purposes or imports between rooms."""
    drawn = tmp_path / "rooms.svg"
    script = repository / "scripts" / "rooms.py"
    subprocess.run(
        [sys.executable, str(script), "--draw", str(drawn)], check=True, cwd=repository, timeout=120
    )
    assert (repository / "docs" / "rooms.svg").read_text("utf-8") == drawn.read_text("utf-8"), (
        "run: make drawing"
    )


def test_every_room_says_what_it_is_for(repository: Path) -> None:
    """The first line of the folder's docstring is shown in the drawing."""
    found = [(repository / package).glob("*/__init__.py") for package in ("agent", "model")]
    folders = [path.parent for paths in found for path in paths]
    silent = [one.name for one in folders if not rooms._purpose(one.parent.name, one.name)]
    assert silent == []
