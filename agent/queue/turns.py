"""The order of claims: first the lane, then the priority, and sites that both share take weighted turns.

Pure. The turns are start-time fair queueing (Goyal, Vin, Cheng, 1996): every claim carries a virtual start
time, the site with the earliest one is next, and one claim costs a site 1 / weight. A site that was idle
starts at the present virtual time, so that it neither saves up turns nor is charged for the past.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.database.site_backlogs import SiteBacklog

DEFAULT_WEIGHT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One claim that a site may make, and its virtual start time."""

    site: str
    start: float


def next_lines(lines: Sequence[SiteBacklog]) -> list[SiteBacklog]:
    """Return the lines whose turn it is: those of the first lane, with the smallest priority in it."""
    if not lines:
        return []
    first = min((line.lane.rank, line.priority) for line in lines)
    return [line for line in lines if (line.lane.rank, line.priority) == first]


def take_turns(
    lines: Sequence[SiteBacklog], served: Mapping[str, float], weights: Mapping[str, float], count: int
) -> list[Turn]:
    """Return the next `count` turns of the lines' sites, as if each had more jobs than that.

    served: the virtual start time of each site's last claim in this lane; sites that have none are left out.
    weights: shares of sites, above 0; 1 for a site that is not named. Of equals the one that has waited
    longest is first.
    """
    present = max(served.values(), default=0.0)
    cost = {line.site: 1.0 / weights.get(line.site, DEFAULT_WEIGHT) for line in lines}
    since = {line.site: line.since for line in lines}
    start = {site: max(present, served[site] + cost[site]) if site in served else present for site in cost}
    turns = []
    for _ in range(count if cost else 0):
        site = min(start, key=lambda one: (start[one], since[one], one))
        turns.append(Turn(site=site, start=start[site]))
        start[site] += cost[site]
    return turns
