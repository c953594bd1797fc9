"""Many small recipes in one file: what they share, and what each has of its own."""

from __future__ import annotations

from pathlib import Path

from model.train.config import TrainingConfig, TrainingConfigError, parse_training_config, read_yaml


def load_variants(path: Path) -> dict[str, TrainingConfig]:
    """Reads `common` and `variants`: each variant is `common` with its own sections, run in `run`/NAME.

    Raises:
        TrainingConfigError: with every problem and its place in the file.
    """
    loaded = read_yaml(path)
    if not isinstance(loaded, dict) or set(loaded) != {"common", "variants"}:
        raise TrainingConfigError(f"{path}: needs the sections 'common' and 'variants', and no other")
    common = loaded["common"]
    return {
        name: parse_training_config(
            {**common, **own, "run": str(Path(common["run"]) / name)}, f"{path}, variant {name}"
        )
        for name, own in loaded["variants"].items()
    }
