"""Queries the archive for what a plan would find, and stores nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from time import sleep

from agent.foundation.settings.tree import Settings
from agent.objects.films.routing.rules import router_of
from agent.retrieve.backfill.archive import DatedArchive
from agent.retrieve.backfill.candidates import judge_study
from agent.retrieve.backfill.slices import DateSlice, halves, looks_cut_off


def rehearse(settings: Settings, source: DatedArchive, slices: Iterable[DateSlice]) -> Counter[str]:
    """Return the number of queries it took, of studies, and of candidates, and why other studies are not
    candidates (`left: RULE`).

    Raises:
        ArchiveUnavailable, ArchiveRefused, ArchiveBusy, ArchiveLate: the archive gave no answer.
    """
    router, backfill = router_of(settings), settings.backfill
    seen: set[str] = set()
    counted: Counter[str] = Counter(queries=0, studies=0, candidates=0)
    todo = list(slices)
    while todo:
        dates = todo.pop()
        listed = source.list_studies(dates)
        counted["queries"] += 1
        for one in listed.studies:
            if one.study_instance_uid in seen:
                continue
            seen.add(one.study_instance_uid)
            rule = judge_study(one, router, trust_description=backfill.trust_study_description)
            counted["studies"] += 1
            counted["candidates" if rule is None else f"left: {rule}"] += 1
        parts = halves(dates)
        if parts and (listed.cut_off or looks_cut_off(len(listed.studies), backfill.answer_limit)):
            todo.extend(parts)
        sleep(60.0 / backfill.queries_per_minute if todo else 0.0)
    return counted
