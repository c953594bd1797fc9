"""Claim, finish and status with 1,000 to 1,000,000 studies in the database, on SQLite and PostgreSQL.

    python benchmarks/queue.py [--sizes N ...] [--databases sqlite postgresql] [--rounds N] [--json]

Each database is filled with finished studies, as after years of work; the last day and the waiting jobs are
the same in every size, so that only the history grows. Commits are durable on both, except a claim's, which a
power cut may undo (`agent.database.session`). The table goes to the terminal; with `--json` the last line is
`{rows, growth, load}`: `rows` per database and size in ms, with the time of one fsync on this disk; `growth`
the ratio of the largest size to the smallest; `load` the machine's load average before the run.
"""

from __future__ import annotations

if __name__ == "queue":
    # A benchmark that is run as a script finds this file when it imports the standard library's module
    # `queue`.
    import importlib.util
    import sys
    import sysconfig

    _spec = importlib.util.spec_from_file_location("queue", f"{sysconfig.get_path('stdlib')}/queue.py")
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["queue"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["queue"])
else:
    import sys
    from pathlib import Path

    _FOLDER = Path(__file__).resolve().parent
    sys.path[:] = [str(_FOLDER.parent), *(entry for entry in sys.path if Path(entry).resolve() != _FOLDER)]

    from benchmarks.queue_run import main

    if __name__ == "__main__":
        main(__doc__ or "")
