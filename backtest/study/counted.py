"""What a study writes into the evidence ledger, whoever runs it: a verb, a rule of retraining, a pipeline."""

from __future__ import annotations

from backtest.evidence.ledger import Entry, config_hash, now_ms
from backtest.study.trials import Trial
from trader.core.metrics import HOURS_PER_YEAR
from trader.core.text import plural


def of_trial(trial: Trial, start: int, stop: int, by: str) -> list[Entry]:
    """Everything that a trial looked at on hours start <= T < stop (UTC ms); Sharpe ratios per hour. Of one that learnt in
    epochs, how many and why it ended. by: the command, and the seed of its study."""
    if trial.epochs:
        ended = trial.reason or trial.state
        by = f"{by}, trial {trial.number}, {plural(trial.epochs, 'epoch')}: {ended}"
    return [
        Entry(
            kind,
            config_hash(params),
            start,
            stop,
            None if sharpe is None else sharpe / HOURS_PER_YEAR**0.5,
            by,
            now_ms(),
        )
        for kind, params, sharpe in trial.configurations()
    ]
