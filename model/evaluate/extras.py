"""Published report metrics that need their own weights: used if the user names them, otherwise skipped.

None of them is installed with this project or downloads anything: each needs its package and a path.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.errors import ModelError

Texts = Sequence[str]


class ExtraMetricError(ModelError):
    """An optional metric was requested but cannot run; the message says what it needs."""

    code = "extra_metric"
    retryable = False


def check_extras(weights: Mapping[str, Path | None]) -> None:
    """Raises what `extra_scores` would, before anything has been drafted.

    weights: by metric, a path or None. Raises: ExtraMetricError where weights were named and the metric
    cannot run with them.
    """
    for name, path in weights.items():
        if path is not None:
            _module_of(name, path)


def extra_scores(
    texts: Texts, references: Texts, weights: Mapping[str, Path | None]
) -> tuple[dict[str, float], dict[str, str]]:
    """Scores by name, and the reason for each one that was skipped. Arguments and errors as
    `check_extras`.
    """
    scores: dict[str, float] = {}
    skipped: dict[str, str] = {}
    for name, path in weights.items():
        package, option, measure = _METRICS[name]
        if path is None:
            skipped[name] = f"no weights named: {option} PATH, with the package {package}"
            continue
        scores[name] = measure(_module_of(name, path), path, texts, references)
    return scores, skipped


def _module_of(name: str, path: Path) -> Any:
    package = _METRICS[name][0]
    if not path.exists():
        raise ExtraMetricError(f"{name}: {path} is not there; name the folder or file of its weights")
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}  # nothing is downloaded
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ExtraMetricError(
            f"{name} needs the package {package}; install it in the same environment"
        ) from error


def _ratescore(module: Any, path: Path, texts: Texts, references: Texts) -> float:
    scorer = module.RaTEScore(bert_model=str(path / "ner"), eval_model=str(path / "synonyms"))
    values = scorer.compute_score(list(texts), list(references))
    return float(sum(values) / len(values))


def _radgraph(module: Any, path: Path, texts: Texts, references: Texts) -> float:
    scorer = module.F1RadGraph(reward_level="partial", model_path=str(path))
    return float(scorer(hyps=list(texts), refs=list(references))[0])


def _chexbert(module: Any, path: Path, texts: Texts, references: Texts) -> float:
    scorer = module.F1CheXbert(checkpoint=str(path))
    return float(scorer(hyps=list(texts), refs=list(references))[2]["macro avg"]["f1-score"])


_METRICS: dict[str, tuple[str, str, Callable[[Any, Path, Texts, Texts], float]]] = {
    "RaTEScore": ("RaTEScore", "--ratescore", _ratescore),
    "RadGraph-F1": ("radgraph", "--radgraph", _radgraph),
    "CheXbert-F1": ("f1chexbert", "--chexbert", _chexbert),
}
