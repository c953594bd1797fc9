"""A thousand studies of forty vendors: no wrong draft, and hardly any chest film skipped."""

from __future__ import annotations

import secrets

from agent.foundation.settings.tree import Settings
from agent.objects.films.routing.rules import router_of
from tests.support.vendors import CHEST, HABITS, studies


def test_thousand_studies_of_forty_vendors_are_routed() -> None:
    """No film of another region is drafted, and at most 2 % of the chest films are skipped."""
    router = router_of(Settings())
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    wrong, skipped, chests = [], [], 0
    for vendor, kind, header in studies(seed, 1000):
        decision = router.decide(header)
        chests += kind == CHEST
        if decision.accepted and kind != CHEST:
            wrong.append((vendor, decision.words))
        elif not decision.accepted and kind == CHEST:
            skipped.append((vendor, decision.rule, decision.words))
    assert len(HABITS) == 40
    assert wrong == []
    assert len(skipped) <= 0.02 * chests, skipped
