"""What became of a study's trials, and how the study's journal writes them. It knows nothing of Optuna."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from backtest.evidence.ledger import Kind
from backtest.study.rounds import TrialOutcome
from backtest.study.sweep import CandidateScore
from trader.core.errors import DataError
from trader.core.params import Params, params_of
from trader.core.text import plural


@dataclass(frozen=True, slots=True)
class Trial:
    """One fit of every window and all that was looked at on it, in-sample.

    state: complete, pruned or failed. value: of the objective; of a pruned trial over the windows it ran, None of a
    failed one. traded_value: of the best configuration that trades; value is 0.0 where that is a loss and standing
    aside is not. rungs: the values after each rung's windows. net_return is compounded.
    epochs, losses: of a family that learns in epochs, how many a window learnt at most, and the mean held-back loss of the
    windows at each rung of epochs; one that was pruned there has no value.
    """

    number: int
    state: str
    value: float | None
    traded_value: float | None
    params: Params
    windows_run: int
    rungs: tuple[float, ...]
    candidates: tuple[CandidateScore, ...]
    net_return: float | None
    orders: int
    reason: str
    epochs: int = 0
    losses: tuple[float, ...] = ()

    def row(self) -> dict[str, Any]:
        """The line of trials.jsonl."""
        return {
            "number": self.number,
            "state": self.state,
            "value": self.value,
            "params": self.params.as_json(),
            "windows_run": self.windows_run,
            **self._learning(),
        }

    def _learning(self) -> dict[str, Any]:
        if not self.epochs:
            return {}
        return {"epochs": self.epochs, "losses": list(self.losses), "reason": self.reason}

    def configurations(self) -> Iterator[tuple[Kind, Params, float | None]]:
        """Everything that this trial looked at: how it was met, what it is, and its annualised net Sharpe ratio over
        the whole span, None where it did not run to its end."""
        if self.state == "failed" or not self.candidates:
            yield "pruned" if self.state == "pruned" else "failed", self.params, None
            return
        for it in self.candidates:
            params = it.of(self.params)
            if self.state == "pruned":
                yield "pruned", params, None
            else:
                yield ("complete" if params == self.params else "swept"), params, it.sharpe


@dataclass(frozen=True, slots=True)
class Study:
    """All trials in the order of their numbers."""

    trials: list[Trial]

    @property
    def best(self) -> Trial:
        """The complete trial of the highest value; among equals that of the highest traded value, then the earlier one.
        Raises DataError, with the first reason, where no trial is complete."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        if not complete:
            reasons = [trial.reason for trial in self.trials if trial.reason]
            raise DataError(
                f"none of {plural(len(self.trials), 'trial')} could be completed: {reasons[0] if reasons else 'all were pruned'}"
            )
        return max(complete, key=lambda t: (number_of(t.value), number_of(t.traded_value), -t.number))

    @property
    def configurations(self) -> int:
        """Configurations looked at, swept and pruned ones among them."""
        return sum(max(1, len(trial.candidates)) for trial in self.trials)


def number_of(value: float | None) -> float:
    """A value that may not be known; what is not is less than all that are."""
    return -math.inf if value is None else value


def row_of(outcome: TrialOutcome, asked: dict[str, Any]) -> dict[str, Any]:
    """A line of the journal: whatever a trial is made of, in plain values."""
    result, verdict = outcome.result, outcome.verdict
    value = result.value if result else verdict.value if verdict and outcome.state == "pruned" else None
    params = (
        result.params if result else verdict.best.of(outcome.plan.params) if verdict else outcome.plan.params
    )
    return {
        "number": outcome.plan.number,
        "state": outcome.state,
        "value": value,
        "traded_value": result.traded_value if result else value,
        "params": params.as_json(),
        "windows_run": outcome.windows_run,
        "rungs": list(outcome.rungs),
        "candidates": [
            [it.stages, it.enter_edge, it.exit_edge, _finite(it.value), it.sharpe]
            for it in (verdict.candidates if verdict else [])
        ],
        "net_return": result.net_return if result else None,
        "orders": result.orders if result else 0,
        "reason": outcome.reason,
        "suggestion": asked,
        **({"epochs": outcome.epochs, "losses": list(outcome.losses)} if outcome.epochs else {}),
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def trial_of(row: dict[str, Any]) -> Trial:
    """A line of the journal as a trial. Raises DataError where it is none."""
    try:
        return Trial(
            number=row["number"],
            state=row["state"],
            value=row["value"],
            traded_value=row["traded_value"],
            params=params_of(row["params"], f"trial {row['number']}"),
            windows_run=row["windows_run"],
            rungs=tuple(row["rungs"]),
            candidates=tuple(
                CandidateScore(stages, enter, leave, math.nan if value is None else value, sharpe)
                for stages, enter, leave, value, sharpe in row["candidates"]
            ),
            net_return=row["net_return"],
            orders=row["orders"],
            reason=row["reason"],
            epochs=row.get("epochs", 0),
            losses=tuple(row.get("losses", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the study's journal holds a line that is no trial ({error!r})") from None
