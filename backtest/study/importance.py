"""How much each searched parameter mattered to the value: the share of the best trials' spread that it explains.

Source: Watanabe and others, "PED-ANOVA" (2023), as Optuna computes it; it needs no fitted surrogate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

LEAST_TRIALS = 8


def importance(trials: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Shares by parameter, adding up to 1, the largest first, from rows with `value` and flat numeric `params`.

    Empty for fewer than LEAST_TRIALS complete trials, or where nothing that was searched differs.
    """
    import optuna

    done = [trial for trial in trials if trial["value"] is not None]
    if len(done) < LEAST_TRIALS:
        return {}
    columns = {name: [trial["params"][name] for trial in done] for name in done[0]["params"]}
    spaces: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(min(values), max(values))
        for name, values in columns.items()
        if min(values) < max(values)
    }
    if not spaces:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for trial in done:
        chosen = {name: float(trial["params"][name]) for name in spaces}
        study.add_trial(optuna.create_trial(params=chosen, distributions=spaces, value=trial["value"]))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(evaluate_on_local=False)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: round(float(share), 6) for name, share in found.items()}
