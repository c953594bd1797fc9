"""The same work on the actors of a Ray cluster, using Ray Data: each actor loads what it needs once.

Ray Data gives an actor the next group when it is free, holds groups back while results wait to be taken, and
restarts a killed actor; its group is tried again. A group that kills its worker in every attempt is given up,
and the others are processed.
"""

from __future__ import annotations

import gc
import logging
import pickle
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from model.evaluate.engines.engine import KILLED, EngineUnavailable, Group, MakeWork, Result

# Further attempts after a worker was killed.
RETRIES = 2
# Groups of one data set: each is an object of the cluster, and new actors begin each data set.
WINDOW = 5000
_QUIET = ("ray", "ray.data")


class _Worker:
    """One actor: sets up its work once, then processes group after group."""

    def __init__(self, make_work: MakeWork) -> None:
        # As in the command itself: the default threshold takes a fifth of what the imports take.
        gc.set_threshold(100_000, 20, 100)
        self._work = make_work()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Process one group."""
        return {
            "number": row["number"],
            "result": pickle.dumps(self._work(pickle.loads(row["group"]))),
        }


def run_on_ray(
    ray: Any, groups: Sequence[Group], make_work: MakeWork, workers: int, *, gpus: float = 0.0
) -> Iterator[Result]:
    """Yield the result of each group in order; `KILLED` if its worker ended in every attempt.

    ray: the connected module. gpus: of each worker, from 0 to the GPUs of one host.

    Raises:
        EngineUnavailable: no worker can be started, or the cluster has stopped.
    """
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for first in range(0, len(groups), WINDOW):
        yield from _window(ray, groups[first : first + WINDOW], make_work, workers, gpus)


def _window(
    ray: Any, groups: Sequence[Group], make_work: MakeWork, workers: int, gpus: float
) -> Iterator[Result]:
    rows = [{"number": number, "group": pickle.dumps(group)} for number, group in enumerate(groups)]
    expected = 0
    try:
        # The results are taken while it runs: nothing waits for the last one.
        for row in _dataset(ray, rows, make_work, workers, gpus).iter_rows():
            while expected < row["number"]:
                yield KILLED
                expected += 1
            yield pickle.loads(row["result"])
            expected += 1
    except ray.exceptions.RayError as error:
        raise EngineUnavailable(
            f"the Ray cluster has ended the work ({type(error).__name__}); what is done is kept"
        ) from error
    while expected < len(groups):
        yield KILLED
        expected += 1


def _dataset(ray: Any, rows: Sequence[dict[str, Any]], make_work: MakeWork, workers: int, gpus: float) -> Any:
    """Return the data set of the results: one group per block, so that a killed worker affects no other
    group.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    context.execution_options.verbose_progress = False
    context.max_errored_blocks = -1
    groups = ray.data.from_items(list(rows), override_num_blocks=len(rows))
    with warnings.catch_warnings():
        # The pinned version has no other way yet to limit the attempts.
        warnings.simplefilter("ignore", ray.util.annotations.RayDeprecationWarning)
        return groups.map(
            _Worker,
            fn_constructor_args=(make_work,),
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=gpus or None,
            max_restarts=-1,
            max_task_retries=RETRIES,
        )
