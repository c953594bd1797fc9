"""Keeps a stage's folder consistent: one run at a time, with the settings that it was started with.

A stage writes `settings.json` into its folder before anything else. The same command continues an interrupted
run exactly; a recipe or a data file that has changed since would mix two runs in one network.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch.distributed.checkpoint.api import CheckpointException

from model.errors import ModelError
from model.train.config import ConfigSection, DataConfig, TrainingConfig
from model.train.line_index import DataError
from model.train.whole_file import whole_file

# Settings that do not affect what a stage computes.
_WITHOUT_EFFECT = frozenset({"micro_batch", "save_every", "validate_every", "validation_examples"})
# Settings that may change in an unfinished run; its saved state still fits.
_SCHEDULE = frozenset({"steps", "rate", "warmup", "decay", "weight_decay", "clip"})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM})

_FILE = "settings.json"

Settings = Mapping[str, Any]


class RunSettingsError(ModelError):
    """A stage's folder holds a run with other settings or studies; the message names each difference."""

    code = "run_settings"
    retryable = False


class RunInUseError(ModelError):
    """Another process is training the same stage in the same folder. Wait for it, or name another `run`."""

    code = "run_in_use"
    retryable = True


class RunStorageError(ModelError):
    """A stage's folder cannot be written. Earlier saved states are complete; the same command continues
    the run.
    """

    code = "run_storage"
    retryable = True


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Locks a stage's folder for this process. Raises: RunInUseError if another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunInUseError(
                f"another run is writing {folder}; wait for its end, or name another `run` in the recipe"
            ) from error
        yield


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turns the exceptions of a full or read-only disk into one error. Raises: RunStorageError."""
    try:
        yield
    except CheckpointException as error:  # raised with several processes; not a subclass of Exception
        reasons = [found for failure, _ in error.failures.values() if (found := _refusal(failure, folder))]
        if not reasons:
            raise
        raise _storage_error(folder, reasons[0]) from error
    except (OSError, SafetensorError) as error:
        if not (reason := _refusal(error, folder)):
            raise
        raise _storage_error(folder, reason) from error


def _refusal(error: BaseException, folder: Path) -> str:
    """Why the operating system refused to write; empty for any other error."""
    if isinstance(error, OSError):
        number, file = error.errno, Path(str(error.filename or folder))
        if number in _NOT_ALLOWED and not (file.is_relative_to(folder) or folder.is_relative_to(file)):
            return ""  # something else that cannot be read
    else:  # safetensors states the number in its text alone
        stated = re.search(r"\(os error (\d+)\)", str(error))
        number = int(stated.group(1)) if stated else None
    return os.strerror(number).lower() if number in _NO_ROOM | _NOT_ALLOWED else ""


def _storage_error(folder: Path, reason: str) -> RunStorageError:
    return RunStorageError(
        f"{folder} cannot be written ({reason}). Correct that and start the same command again: it continues "
        "from the last state that was saved whole"
    )


def settings_of(recipe: TrainingConfig, stage: str, section: ConfigSection, data: DataConfig) -> Settings:
    """Everything that determines what a stage computes, as JSON values."""
    chosen = {
        key: value for key, value in section.model_dump(mode="json").items() if key not in _WITHOUT_EFFECT
    }
    common = recipe.model_dump(mode="json", include={"seed", "block_size", "precision", "network", "start"})
    if stage not in ("labels", "ar"):
        common.pop("network")  # an earlier stage made the network
    return {**{f"{stage}.{key}": value for key, value in chosen.items()}, **common, "studies": _studies(data)}


def _studies(data: DataConfig) -> dict[str, Any]:
    """The phantoms' settings, or a data file's content and how its bad lines are treated."""
    if data.json_lines is None:
        return data.model_dump(mode="json", include={"phantoms"})
    file = data.json_lines.file
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); name an existing file") from error
    return {"sha256": digest, **data.json_lines.model_dump(mode="json", include={"bad_lines", "limit"})}


def check_settings(folder: Path, settings: Settings, *, finished: bool) -> str:
    """Compares a stage's settings with those that its folder was started with.

    Returns: what a continued run does differently from now on, as text; empty if nothing has changed. Raises:
    RunSettingsError if the folder contains a run that these settings cannot continue.
    """
    kept = _kept(folder)
    changed = {
        key: f"{key} {kept[key]!r} -> {value!r}"
        for key, value in settings.items()
        if key in kept and kept[key] != value
    }
    if changed and (finished or not all(key.rpartition(".")[2] in _SCHEDULE for key in changed)):
        state = "a finished" if finished else "an interrupted"
        raise RunSettingsError(
            f"{folder} holds {state} run with other settings: {'; '.join(changed.values())}. "
            "Restore them, name another `run` in the recipe, or remove the folder to train the stage again"
        )
    return "; ".join(changed.values())


def check_studies(rollout: Path, data: DataConfig) -> None:
    """Checks that a rollout is of these studies. Raises: RunSettingsError."""
    kept, own = _kept(rollout).get("studies"), _studies(data)
    if kept is not None and _which(kept) != _which(own):
        raise RunSettingsError(
            f"{rollout} holds the trajectories of other studies than the recipe names now: every image would "
            "get another one's report. Restore the data, or remove the folder and roll out again"
        )


def _which(studies: Mapping[str, Any]) -> object:
    """The identity of a set's studies, regardless of how many of them are used."""
    phantoms = studies.get("phantoms")
    if phantoms is None:
        return studies.get("sha256")
    return {key: value for key, value in phantoms.items() if key != "count"}


def _kept(folder: Path) -> dict[str, Any]:
    """The settings in a stage's folder; None if it is new, or was made before this file existed."""
    try:
        content = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        raise RunSettingsError(
            f"{folder / _FILE} is damaged; remove the folder to train the stage again"
        ) from error
    return content if isinstance(content, dict) else {}


def keep_settings(folder: Path, settings: Settings) -> None:
    """Stores a stage's settings in its folder, completely or not at all."""
    with whole_file(folder / _FILE) as stream:
        stream.write(json.dumps(settings, indent=1).encode() + b"\n")
