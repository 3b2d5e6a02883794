"""A study's trials, written into Optuna's own storage, where optuna-dashboard and Optuna's functions read them.

The folder stays what the study is; the storage is a view of it. Trials are added in the order of their numbers, each in one
transaction, and a number is added once: so a trial has the number there that it has here, and to repeat the export adds what
has ended since. A trial whose predecessor has not ended comes with a later export.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from backtest.study.folder import StudyFolder
from backtest.study.objectives import MEANING, objective_named
from backtest.study.rounds import rungs_of
from backtest.study.space import space_of
from backtest.study.storage import Storage
from backtest.study.trials import Trial, trial_of
from trader.core.errors import ConfigError, DataError

_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
# What a study is, shown beside its trials; "begun" tells it from another one of the same name.
_SHOWN = (
    "symbol",
    "from",
    "to",
    "objective",
    "seed",
    "batch",
    "prune",
    "data",
    "features",
    "engine",
    "optuna",
)
_BEGUN = "begun"


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did. added: trials; known: those that were there before; later: ended ones that wait for an earlier one."""

    name: str
    added: int
    known: int
    later: int


def export_study(path: Path, storage: Storage, name: str | None = None) -> Exported:
    """Add to the storage what it does not have. name: of the study there; by default the folder's, with a part of the hash of
    what the study is. Safe to repeat, also at the same time. Raises ConfigError, DataError for a folder that holds no study,
    Retry where the storage does not answer."""
    if not (path / "study.json").exists():
        raise ConfigError(
            f"{path} holds no study: study.json is not there. Give the folder of `backtest tune --study`"
        )
    folder = StudyFolder(path)
    identity = folder.identity()
    begun = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    name = name or f"{path.resolve().name}-{begun[:8]}"
    rows = {int(row["number"]): row for row in folder.lines()}
    numbers = [number for number in range(len(rows)) if all(it in rows for it in range(number + 1))]
    with storage.held() as opened:
        study = _study(opened, name, identity, begun)
        known = len(study.get_trials(deepcopy=False))
        windows = max((row["windows_run"] for row in rows.values() if row["state"] == "complete"), default=0)
        for number in numbers[known:]:
            study.add_trial(_frozen(trial_of(rows[number]), rows[number]["suggestion"], windows))
    return Exported(name, len(numbers[known:]), known, len(rows) - len(numbers))


def _study(
    storage: optuna.storages.BaseStorage, name: str, identity: Mapping[str, Any], begun: str
) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    attributes = study.user_attrs
    if attributes.get(_BEGUN, begun) != begun or (
        _BEGUN not in attributes and study.get_trials(deepcopy=False)
    ):
        raise ConfigError(f"the storage holds another study named {name!r}. Choose another --name")
    if _BEGUN not in attributes:
        with warnings.catch_warnings():  # Optuna calls it experimental
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([MEANING[objective_named(str(identity["objective"]))]])
        for key in _SHOWN:
            study.set_user_attr(key, identity.get(key))
        study.set_user_attr(_BEGUN, begun)  # last: a killed export is gone on with
    return study


def _frozen(trial: Trial, point: dict[str, Any], windows: int) -> FrozenTrial:
    """A trial as Optuna knows one. point: what it was asked as. windows: of a complete one, 0 where none is known."""
    rungs = dict(zip(rungs_of(windows), trial.rungs, strict=False))
    try:
        return optuna.trial.create_trial(
            state=_STATES[trial.state],
            value=None if trial.state == "failed" else trial.value,
            params=point,
            distributions=_distributions(trial, point),
            intermediate_values=rungs,
            user_attrs=_attributes(trial),
        )
    except (ValueError, KeyError) as error:
        raise DataError(
            f"trial {trial.number} does not fit the space that its family is searched in ({error})"
        ) from None


def _distributions(trial: Trial, point: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    ranges = space_of(trial.params).points()
    return {
        name: IntDistribution(int(ranges[name].least), int(ranges[name].most))
        if ranges[name].whole
        else FloatDistribution(ranges[name].least, ranges[name].most)
        for name in point
    }


def _attributes(trial: Trial) -> dict[str, Any]:
    told = {
        "family": trial.params.model.family,
        "windows": trial.windows_run,
        "configurations": max(1, len(trial.candidates)),
        "orders": trial.orders,
        "net_return": trial.net_return,
        "traded_value": trial.traded_value,
        "reason": trial.reason,
        "params": trial.params.as_json(),
    }
    return {name: value for name, value in told.items() if value not in (None, "")}
