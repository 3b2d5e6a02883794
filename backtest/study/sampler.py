"""What a study looks at next: Optuna's TPE answers, and of what it could as well look at, the cheap comes first (ADR 11).

The numbers of trials are given here, in the order in which they are handed out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from backtest.study.space import cost, nearest, suggest
from trader.core.params import Params

# Drawn at random before TPE begins, as many as Optuna's own default.
STARTUP_TRIALS = 10
# Suggestions of TPE for one trial.
SUGGESTIONS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Suggestion:
    """A trial that was handed out: its number in the study, and a point of the space."""

    number: int
    suggestion: dict[str, Any]
    trial: optuna.Trial


class TrialSampler:
    """A study in memory. The same seed, base parameters, warm configurations and answers give the same questions.

    The warm ones are handed out first. The random ones learn nothing from each other, so all of them are drawn at once and
    handed out by what they cost, ascending. From then on, of several suggestions of TPE the cheapest is taken, and the rest
    are forgotten.
    """

    def __init__(self, seed: int, base: Params, warm: Sequence[Params]) -> None:
        self._base = base
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        for params in warm:
            self._study.enqueue_trial(nearest(params))
        first = [self._suggested() for _ in warm]
        drawn = [self._suggested() for _ in range(STARTUP_TRIALS - len(warm))]
        self._drawn = deque([*first, *sorted(drawn, key=self._cost)])
        self._number = 0

    def ask(self) -> Suggestion:
        """The next trial."""
        trial, suggestion = self._drawn.popleft() if self._drawn else self._cheapest()
        self._number += 1
        return Suggestion(self._number - 1, suggestion, trial)

    def tell(self, suggested: Suggestion, value: float, windows_run: int, state: str) -> None:
        """What became of it: complete with its value, pruned with the value that it had by then, or failed."""
        if state == "complete":
            self._study.tell(suggested.trial, value)
        elif state == "pruned":
            suggested.trial.report(value, windows_run)
            self._study.tell(suggested.trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(suggested.trial, state=optuna.trial.TrialState.FAIL)

    def _suggested(self) -> tuple[optuna.Trial, dict[str, Any]]:
        trial = self._study.ask()
        return trial, suggest(trial, self._base)

    def _cheapest(self) -> tuple[optuna.Trial, dict[str, Any]]:
        taken, *rest = sorted((self._suggested() for _ in range(SUGGESTIONS)), key=self._cost)
        for trial, _ in rest:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return taken

    def _cost(self, drawn: tuple[optuna.Trial, dict[str, Any]]) -> float:
        return cost(drawn[1], self._base)
