"""Reports per second of processor time that the findings' reader makes on one core.

    python -m benchmarks.findings

Unseen: every sentence holds a number of its own, and what was kept is forgotten before each report.
Recurring: the same reports again, as sentences recur in practice. Hostile: seconds for 40,000 characters.
"""

from __future__ import annotations

import random
import time

from model.findings import reading
from model.findings.extract import read_report

REPORTS = 150
SENTENCES = 12
HOSTILE = ("no ", "effusion, ", "left and right ", "no effusion or ", "未见气胸", "1. ", "(", "FINDINGS: ")
_SIDES = ("left", "right", "bilateral")
_FINDINGS = ("effusion", "opacity", "atelectasis", "consolidation", "nodule", "pneumothorax")


def sentence(rng: random.Random) -> str:
    """A dictated sentence that holds a number of its own."""
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
    """Reports per second of processor time."""
    begun = time.process_time()
    for report in reports:
        if forget:
            reading.explained.cache_clear()
        read_report(report)
    return len(reports) / (time.process_time() - begun)


def main() -> None:
    """Measure and print."""
    rng = random.Random(5)
    reports = ["FINDINGS: " + " ".join(sentence(rng) for _ in range(SENTENCES)) for _ in range(REPORTS)]
    read_report("No effusion.")
    print(f"unseen sentences     {rate(reports, forget=True):6.0f} reports/s")
    read_report(reports[0])
    for report in reports:
        read_report(report)
    print(f"recurring sentences  {rate(reports, forget=False):6.0f} reports/s")
    for piece in HOSTILE:
        text = (piece * 40_000)[:40_000]
        print(f"hostile {piece!r:18} {1 / rate([text], forget=True):6.2f} s")


if __name__ == "__main__":
    main()
