"""Mutates HL7 messages and reads them: every one is read or refused, in a bounded time.

`python -m benchmarks.hl7_fuzz --count 100000 --seed 7`; status 1 on any other error.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from time import monotonic

from agent.foundation.errors import MessageRefused, MessageUnreadable
from agent.foundation.settings.hl7 import Hl7Settings
from agent.messages.hl7.framing import FrameReader, framed
from agent.messages.hl7.parse import parse, split_batch
from agent.ris.read import read
from tests.support.hl7_messages import change, merge, order, report

_MARKS = b'|^~\\&\r\n\x0b\x1c\x00\xff"'


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """Return a message with one to ten bytes set, runs cut out, or runs doubled."""
    raw = bytearray(seed)
    for _ in range(chance.randint(1, 10)):
        at, kind = chance.randrange(len(raw)), chance.random()
        if kind < 0.5:
            raw[at] = chance.choice(_MARKS) if chance.random() < 0.6 else chance.randrange(256)
        elif kind < 0.75 and len(raw) > 30:
            del raw[at : at + chance.randint(1, 25)]
        else:
            raw[at:at] = raw[max(0, at - 30) : at]
    return bytes(raw)


def outcome_of(raw: bytes, settings: Hl7Settings) -> str:
    """Frame, split, parse and read; return how it ended."""
    FrameReader(1_000_000).feed(framed(raw))
    try:
        for part in split_batch(raw) or [raw]:
            read(parse(part), settings)
    except (MessageUnreadable, MessageRefused) as error:
        return error.code
    return "read"


def main() -> int:
    """Run, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    wanted = parser.parse_args()
    chance, settings = random.Random(wanted.seed), Hl7Settings()
    seeds = (order(), merge("M1", "PB", "PA"), change("C1", "PA", "New^N", "19500101"), report("R1"))
    ends: Counter[str] = Counter()
    worst_s, began = 0.0, monotonic()
    for _ in range(wanted.count):
        raw, before = mutated(chance.choice(seeds), chance), monotonic()
        try:
            ends[outcome_of(raw, settings)] += 1
        except Exception as error:  # noqa: BLE001 - outermost: any other error is what is looked for
            ends[f"crash: {type(error).__name__}"] += 1
            print(raw, file=sys.stderr)
        worst_s = max(worst_s, monotonic() - before)
    print(json.dumps({"ends": ends, "worst_ms": worst_s * 1000, "seconds": monotonic() - began}))
    return int(any(end.startswith("crash") for end in ends))


if __name__ == "__main__":
    sys.exit(main())
