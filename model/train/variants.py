"""Many small recipes in one file: a common part, and the differences of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.train.config import TrainingConfig, TrainingConfigError, parse_training_config, read_yaml


def load_variants(path: Path, seeds: Sequence[int] = ()) -> dict[str, TrainingConfig]:
    """Reads `common` and `variants`: each variant is `common` plus its own sections, run in `run`/NAME.

    seeds: with them each variant is run once for each seed, as `NAME/seed-N`.

    Raises:
        TrainingConfigError: with every problem and its place in the file.
    """
    loaded = read_yaml(path)
    if not isinstance(loaded, dict) or set(loaded) != {"common", "variants"}:
        raise TrainingConfigError(f"{path}: needs the sections 'common' and 'variants', and no other")
    common = loaded["common"]
    chosen = {
        name + suffix: own | seed
        for name, own in loaded["variants"].items()
        for suffix, seed in ([(f"/seed-{n}", {"seed": n}) for n in seeds] or [("", {})])
    }
    return {
        name: parse_training_config(
            {**common, **own, "run": str(Path(common["run"]) / name)}, f"{path}, variant {name}"
        )
        for name, own in chosen.items()
    }
