"""A study as the store keeps it: every trial that was looked at, so that trackers can be filled from it at any time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from trader.core.types import iso

SCHEMA = "study-report/1"


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters on one level: the model's own keys stand beside the strategy's."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        result.update(flat(value) if isinstance(value, Mapping) else {key: value})
    return result


def study_report(
    symbol: str,
    serve_from: int,
    objective: str,
    seed: int,
    trials: Sequence[Mapping[str, Any]],
    best: int,
    importance: Mapping[str, float],
) -> dict[str, Any]:
    """The object of `studies/<id>.json`.

    trials: rows of number, state, value (None where there is none) and params, a strategy's parameters as in P.json.
    best: the number of the chosen one. importance: shares that add up to 1, perhaps none. The id follows from the content.
    """
    content = {
        "schema": SCHEMA,
        "symbol": symbol,
        "serve_from": serve_from,
        "objective": objective,
        "seed": seed,
        "best": best,
        "trials": [dict(trial) for trial in trials],
        "importance": dict(importance),
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    return {**content, "id": f"{study_stamp(serve_from)}-{digest}"}


def study_stamp(serve_from: int) -> str:
    """What the ids of all studies begin with that searched for a model serving from this hour (UTC ms)."""
    return iso(serve_from)[:13].replace("-", "")


def study_key(study_id: str) -> str:
    """Where a study lies in the store."""
    return f"studies/{study_id}.json"


def best_trial(report: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the chosen trial."""
    return next(dict(trial) for trial in report["trials"] if trial["number"] == report["best"])


def searched(report: Mapping[str, Any]) -> list[str]:
    """Names of the numbers that differ between trials, sorted: what was searched."""
    rows = [flat(trial["params"]) for trial in report["trials"]]
    numeric = (
        {key for key in rows[0] if all(isinstance(row.get(key), int | float | str) for row in rows)}
        if rows
        else set()
    )
    return sorted(key for key in numeric if len({str(row[key]) for row in rows}) > 1 and _numbers(rows, key))


def _numbers(rows: Sequence[Mapping[str, Any]], key: str) -> bool:
    try:
        [float(row[key]) for row in rows]
    except ValueError:
        return False
    return True
