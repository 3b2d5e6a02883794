"""FreqAI walking forward with a study's own parameters, a process a trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.freqai_side import FreqAI
from benchmarks.scene import median, reference_params


def walls(other: FreqAI, rows: Sequence[dict[str, Any]], start: int, stop: int) -> list[float]:
    """Seconds of each run, from exec to exit, with the parameters of these lines of trials.jsonl."""
    found = []
    for i, row in enumerate(rows):
        trees = row["params"]["model"]
        params = reference_params(**trees).model_copy(
            update={"look_back_days": row["params"]["look_back_days"]}
        )
        found.append(other.backtest(f"trial-{i}", params, start, stop).wall_s)
    return found


def of_all(seconds: Sequence[float], runs: int) -> float:
    """What so many such runs take, from those that were timed."""
    return runs * (sum(seconds) / len(seconds) if len(seconds) > 2 else median(seconds))
