"""Measures how many reports per second of processor time the findings' reader reads on one core.

    python -m benchmarks.findings

Unseen: every sentence contains a different number, and the cache is cleared before each report: harder than
real reports, in which short sentences recur. Dictated: each phantom dictated once, with an empty cache at the
beginning. Recurring: the same reports again. The processor time of a fixed loop (`loop`) shows how busy the
machine's other threads were. Hostile: seconds for 40,000 characters.
"""

from __future__ import annotations

import random
import time

import numpy as np

from model.findings import reading
from model.findings.extract import read_report
from model.phantom.dictation import dictated_report
from model.phantom.draw import draw_spec

REPORTS = 150
SENTENCES = 12
ROUNDS = 5  # the best of these: the shortest time is the least disturbed one
HOSTILE = (
    "no ", "effusion, ", "left and right ", "no effusion or ", "未见气胸", "1. ", "(", "FINDINGS: ",
    "effusion? no. ",
    "no effusion apart from ", "[no/small] effusion ", "not seen but cannot be excluded ", "effusion- ptx+ ",
)  # fmt: skip
_SIDES = ("left", "right", "bilateral")
_FINDINGS = ("effusion", "opacity", "atelectasis", "consolidation", "nodule", "pneumothorax")


def sentence(rng: random.Random) -> str:
    """A dictated sentence that contains a unique number."""
    number, side, finding = rng.randrange(1_000_000), rng.choice(_SIDES), rng.choice(_FINDINGS)
    return rng.choice(
        (
            f"There is a small {side} {finding} measuring {number} mm at the base.",
            f"No {finding} or {rng.choice(_FINDINGS)} is seen on image {number}.",
            f"The patient, bed {number}, was rotated to the right.",
            f"Compared with film {number}, the {side} {finding} is unchanged.",
            f"ET tube tip {number} mm above the carina; possible {finding}.",
        )
    )


def rate(reports: list[str], *, forget: bool) -> float:
    """Reports per second of processor time, each report at its best of several rounds."""
    best = [float("inf")] * len(reports)
    for _ in range(ROUNDS):
        for index, report in enumerate(reports):
            if forget:
                reading.explained.cache_clear()
            begun = time.process_time()
            read_report(report)
            best[index] = min(best[index], time.process_time() - begun)
    return len(reports) / sum(best)


def once(reports: list[str]) -> float:
    """Reports per second if each is read once, with an empty cache at the beginning."""
    reading.explained.cache_clear()
    begun = time.process_time()
    for report in reports:
        read_report(report)
    return len(reports) / (time.process_time() - begun)


def loop() -> float:
    """The shortest processor time, in ms, of 100,000 additions."""
    best = float("inf")
    for _ in range(30):
        begun, total = time.process_time(), 0
        for number in range(100_000):
            total += number & 3
        best = min(best, time.process_time() - begun)
    return best * 1000


def main() -> None:
    """Measure and print."""
    rng = random.Random(5)
    reports = ["FINDINGS: " + " ".join(sentence(rng) for _ in range(SENTENCES)) for _ in range(REPORTS)]
    dictated = [dictated_report(draw_spec(seed), np.random.default_rng(seed)) for seed in range(REPORTS)]
    read_report("No effusion.")
    print(f"loop                 {loop():6.1f} ms")
    print(f"unseen sentences     {rate(reports, forget=True):6.0f} reports/s")
    print(f"dictated, each once  {once(dictated):6.0f} reports/s")
    print(f"recurring sentences  {rate(reports, forget=False):6.0f} reports/s")
    for piece in HOSTILE:
        text = (piece * 40_000)[:40_000]
        begun = time.process_time()
        read_report(text)
        print(f"hostile {piece!r:35} {time.process_time() - begun:6.2f} s")


if __name__ == "__main__":
    main()
