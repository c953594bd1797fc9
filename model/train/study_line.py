"""Reads one line of a data file: whether it is a study that can be trained on, and its content.

The checks are those of `study.schema.json`, written out because a schema validator takes minutes for a
file of hundreds of thousands of lines; a test compares the two.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from model.json_once import KeyTwice, read_json

VIEWS = ("frontal", "lateral", "unknown")
_TEXTS = ("indication", "comparison", "language")
_KEYS = frozenset({"id", "images", "views", "findings", "impression", "priors", "split", *_TEXTS})
_PRIOR_KEYS = frozenset({"date", "images", "report"})


def schema() -> dict[str, Any]:
    """The format as a JSON schema."""
    text = (resources.files("model.train") / "study.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def line_problem(line: bytes) -> tuple[str, dict[str, Any]]:
    """What is wrong with a line (empty if it can be trained on), and its content."""
    try:
        record = read_json(line)
    except KeyTwice as error:
        return str(error), {}
    except UnicodeDecodeError:
        return "not UTF-8", {}
    except json.JSONDecodeError as error:
        hint = "" if line.lstrip().startswith(b"{") else "; each line must be one study, a JSON object"
        return f"not JSON ({error.msg}{hint})", {}
    except (ValueError, RecursionError):
        return "not JSON that can be read (nested too deeply, or a number of thousands of digits)", {}
    if not isinstance(record, dict):
        return "not a JSON object", {}
    # JSON can express half of a surrogate pair, which no tokenizer and no file accepts.
    if b"\\ud" in line.lower() and _has_lone_surrogate(record):
        return "holds half of a surrogate pair (\\ud800 to \\udfff), which is not a character", {}
    return record_problem(record), record


def _has_lone_surrogate(record: dict[str, Any]) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def record_problem(record: dict[str, Any]) -> str:
    """What is wrong with a study; empty if it can be trained on."""
    for key in ("id", "images", "findings", "impression"):
        if key not in record:
            return f"lacks {key!r}{_hint(record)}"
    unknown = sorted(record.keys() - _KEYS)
    if unknown:
        return f"has the unknown key {unknown[0]!r}"
    identifier = record["id"]
    if isinstance(identifier, bool) or not isinstance(identifier, str | int) or identifier == "":
        return "'id' must be a text or a whole number"
    if problem := _names_problem(record["images"], "images", least=1):
        return problem
    if not isinstance(record["findings"], str) or not isinstance(record["impression"], str):
        return "'findings' and 'impression' must be texts"
    if not record["findings"].strip() and not record["impression"].strip():
        return "'findings' and 'impression' are both empty"
    for key in (*_TEXTS, "split"):
        if record.get(key) is not None and not isinstance(record[key], str):
            return f"{key!r} must be a text"
    return _views_problem(record) or _priors_problem(record.get("priors"))


def _hint(record: dict[str, Any]) -> str:
    """What to do about a line in another common layout, to follow the problem."""
    if record.keys() & {"conversations", "messages"}:
        return ": a conversation; write the answer's report as 'findings' and 'impression'"
    if record.keys() & {"report", "text"}:
        return ": split the report into 'findings' and 'impression'"
    return ""


def _names_problem(value: object, name: str, least: int) -> str:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        return f"{name!r} must be a list of file names"
    return f"{name!r} names no image" if len(value) < least else ""


def _views_problem(record: dict[str, Any]) -> str:
    views = record.get("views")
    if views is None:
        return ""
    if not isinstance(views, list) or not all(view in VIEWS for view in views):
        return f"'views' must be a list of {', '.join(VIEWS)}"
    if len(views) != len(record["images"]):
        return f"{len(views)} views are stated for {len(record['images'])} images"
    return ""


def _priors_problem(priors: object) -> str:
    if priors is None:
        return ""
    if not isinstance(priors, list):
        return "'priors' must be a list"
    for prior in priors:
        if not isinstance(prior, dict) or not isinstance(prior.get("report"), str):
            return "every prior needs a text 'report'"
        if prior.keys() - _PRIOR_KEYS:
            return f"a prior has the unknown key {sorted(prior.keys() - _PRIOR_KEYS)[0]!r}"
        if prior.get("date") is not None and not isinstance(prior["date"], str):
            return "a prior's 'date' must be a text"
        if "images" in prior and (problem := _names_problem(prior["images"], "images", least=0)):
            return f"in a prior, {problem}"
    return ""


def answer_of(record: dict[str, Any]) -> str:
    """The report that the network should write; a part that is empty is left out."""
    parts = {"Findings": record["findings"].strip(), "Impression": record["impression"].strip()}
    return " ".join(f"{name}: {text}" for name, text in parts.items() if text)


def views_of(record: dict[str, Any]) -> tuple[str, ...]:
    """The stated views; without them the first image is frontal, the second lateral, others unknown."""
    count = len(record["images"])
    stated = record.get("views") or ["frontal", "lateral", *["unknown"] * count][:count]
    return tuple(stated)


def comparison_of(record: dict[str, Any]) -> str | None:
    """The text about earlier studies for the network, worded as in serving.

    The stated comparison, then the reports of the priors, each with its date if it has one.
    """
    stated = [record["comparison"].strip()] if record.get("comparison") else []
    for prior in record.get("priors") or ():
        date = f" of {prior['date']}" if prior.get("date") else ""
        stated.append(f"Report{date}: {prior['report'].strip()}")
    return " ".join(stated) or None
