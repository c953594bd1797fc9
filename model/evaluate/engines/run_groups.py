"""A common interface to both engines: groups of work in, results out in the same order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from model.evaluate.engines.engine import Group, MakeWork, OfflineEngine, Result, Workers


def run_groups(groups: Sequence[Group], make_work: MakeWork, workers: Workers) -> Iterator[Result]:
    """Yield the result of each group in order; `KILLED` if its Ray worker ended in every attempt.

    Raises:
        EngineMissing: the packages of the engine are not installed.
        EngineUnavailable: the cluster does not start, does not answer, or has stopped.
    """
    if not groups:
        return
    if workers.engine is OfflineEngine.PLAIN:
        work = make_work()
        for group in groups:
            yield work(group)
        return
    from model.evaluate.engines.ray_cluster import ray_cluster
    from model.evaluate.engines.ray_engine import run_on_ray

    with ray_cluster(workers.count, workers.address) as ray:
        yield from run_on_ray(ray, groups, make_work, workers.count, gpus=_gpus(workers))


def _gpus(workers: Workers) -> float:
    if workers.gpus is not None:
        return workers.gpus
    from model.network.device import select_device

    return float(select_device("auto").device.type == "cuda")
