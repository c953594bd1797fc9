"""The rooms of the code: which folder imports which, and whether there are circular imports.

A room is a folder directly below `agent/` or `model/`. Files beside the folders (`errors.py`,
`__main__.py`) are the ground that every room stands on; imports of them do not count as pairs.

    python scripts/rooms.py            prints rooms, cross-room edges and circles
    python scripts/rooms.py --check    prints a line for each package; exit status 1 if a rule is broken
    python scripts/rooms.py --draw F   writes the drawing to the file F (docs/rooms.svg: `make drawing`)

The rules: no two rooms import each other, no circle of files in any package, at most the number of cross-room
pairs that `MOST_PAIRS` allows, no two public classes of one package with the same name, and no class that is
named by a word of `TOO_COMMON` alone: it names its field too, as `StoreOutcome` does.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
from rooms_svg import House, draw

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("agent", "model", "dicom_sr")
# A new room brings about six pairs, a folder inside a room few or none. Lower it when pairs disappear.
MOST_PAIRS = {"agent": 80, "model": 20}
GROUND = "(ground)"
# Every capability has one of these: on their own they tell a reader nothing.
TOO_COMMON = frozenset({"Answer", "Case", "Context", "Decision", "Outcome", "Status"})

Edges = dict[str, set[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One package: its rooms with their files, the pairs of rooms, and what breaks a rule."""

    package: str
    files: dict[str, int]
    pairs: dict[tuple[str, str], int]  # (importing room, imported room) -> number of imports
    two_way: list[tuple[str, str]]
    circle: list[str]  # files of one circle, empty where there is none
    same_names: Mapping[str, Sequence[str]] = field(default_factory=dict)  # public class -> files, if several

    @property
    def faults(self) -> list[str]:
        """Return each broken rule in words."""
        found = [f"{one} and {other} import each other" for one, other in self.two_way]
        if self.circle:
            found.append("files import each other in a circle: " + " -> ".join(self.circle))
        most = MOST_PAIRS.get(self.package)
        if most is not None and len(self.pairs) > most:
            found.append(f"{len(self.pairs)} cross-room pairs; at most {most} are allowed")
        found += [
            f"a public class {name} in each of {', '.join(files)}: give one the word of its field"
            for name, files in sorted(self.same_names.items())
            if len(files) > 1
        ]
        found += [
            f"a public class is only named {name} in {files[0]}: name its field too"
            for name, files in sorted(self.same_names.items())
            if name in TOO_COMMON
        ]
        return found


def room_of(module: str) -> str:
    """Return the room of a dotted module name: `agent.queue.jobs` -> `queue`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 else GROUND


def _circle(edges: Edges) -> list[str]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def same_names(folder: Path) -> dict[str, list[str]]:
    """Return the public classes that several files below a folder define, and those named by a word that is
    too common, with the files' relative paths.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted(folder.rglob("*.py")):
        for statement in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.ClassDef) and not statement.name.startswith("_"):
                found[statement.name].append(str(file.relative_to(folder)))
    return {name: files for name, files in found.items() if len(files) > 1 or name in TOO_COMMON}


def survey(
    package: str, graph: grimp.ImportGraph, same_names: Mapping[str, Sequence[str]] | None = None
) -> Plan:
    """Return the plan of one package; imports under `if TYPE_CHECKING:` count like any other."""
    modules = {name for name in graph.modules if name.split(".")[0] == package}
    packages = {name for name in modules if any(other.startswith(f"{name}.") for other in modules)}
    edges: Edges = {name: graph.find_modules_directly_imported_by(name) & modules for name in modules}
    files: dict[str, int] = defaultdict(int)
    for name in modules - packages:
        files[room_of(name)] += 1
    # An __init__.py belongs to its room.
    home = {
        name: name.split(".")[1] if name in packages and "." in name else room_of(name) for name in modules
    }
    pairs: dict[tuple[str, str], int] = defaultdict(int)
    for importer, imported in edges.items():
        for one in imported:
            if GROUND not in (home[importer], home[one]) and home[importer] != home[one]:
                pairs[home[importer], home[one]] += 1
    two_way = sorted((a, b) for a, b in pairs if a < b and (b, a) in pairs)
    return Plan(
        package=package,
        files=dict(files),
        pairs=dict(pairs),
        two_way=two_way,
        circle=_circle(edges),
        same_names=same_names or {},
    )


def report(plan: Plan) -> str:
    """Return a package's rooms, pairs and faults as text."""
    lines = [f"{plan.package}: {len(plan.files)} rooms, {len(plan.pairs)} cross-room pairs"]
    for room in sorted(plan.files):
        below = sorted((other, count) for (one, other), count in plan.pairs.items() if one == room)
        targets = ", ".join(f"{other} {count}" for other, count in below)
        lines.append(f"  {room} ({plan.files[room]} files) -> {targets or 'nothing'}")
    lines += [f"  FAULT: {fault}" for fault in plan.faults]
    return "\n".join(lines)


def floors_of(package: str) -> list[list[str]]:
    """Return the floors of a package as its import contract has them, from the top down."""
    contracts = configparser.ConfigParser()
    contracts.read(REPOSITORY / "setup.cfg")
    layers = contracts[f"importlinter:contract:{package}-rooms"]["layers"]
    floors = [[room.strip() for room in line.split("|")] for line in layers.split("\n") if line.strip()]
    return [rooms for floor in floors if (rooms := [one for one in floor if _is_room(package, one)])]


def _is_room(package: str, name: str) -> bool:
    return (REPOSITORY / package / name).is_dir()


def _purpose(package: str, room: str) -> str:
    """Return the first line of a room's docstring."""
    text = (REPOSITORY / package / room / "__init__.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]


def drawing(plans: list[Plan]) -> str:
    """Return the drawing of all packages that have rooms, as SVG."""
    houses = []
    for plan in plans:
        if plan.pairs:
            floors = floors_of(plan.package)
            purposes = {room: _purpose(plan.package, room) for floor in floors for room in floor}
            houses.append(
                House(package=plan.package, floors=floors, purposes=purposes, pairs=set(plan.pairs))
            )
    return draw(houses)


def main() -> int:
    """Print, check or draw the packages."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--check", action="store_true", help="one line a package; status 1 on a fault")
    arguments.add_argument("--draw", type=Path, metavar="FILE", help="write the drawing, an SVG")
    chosen = arguments.parse_args()
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    plans = [survey(package, graph, same_names(REPOSITORY / package)) for package in PACKAGES]
    if chosen.draw is not None:
        chosen.draw.write_text(drawing(plans), encoding="utf-8")
        return 0
    for plan in plans:
        if chosen.check:
            state = "; ".join(plan.faults) or "no two-way pair, no circle"
            print(f"{plan.package}: {len(plan.files)} rooms, {len(plan.pairs)} cross-room pairs; {state}")
        else:
            print(report(plan))
    return 1 if any(plan.faults for plan in plans) else 0


if __name__ == "__main__":
    sys.exit(main())
