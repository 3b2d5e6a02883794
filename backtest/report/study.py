"""What a study's folder says about the parameters that it chose: its trials, how many they amount to, how overfitted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backtest.evidence.overfitting import BLOCKS, Overfitting, overfitting
from backtest.evidence.significance import effective_trials
from backtest.report.data import Part, study_part
from backtest.study.folder import StudyFolder
from backtest.study.importance import importance
from backtest.study.objectives import objective_named
from trader.core.errors import ConfigError
from trader.core.study import flat
from trader.core.types import Floats


@dataclass(frozen=True, slots=True)
class StudyEvidence:
    """part: for the report. effective: how many independent trials the complete ones amount to. fitted: None where fewer
    than two are complete or the returns are too few. span: first hour and the hour after the last, ISO."""

    part: Part
    effective: float | None
    fitted: Overfitting | None
    span: tuple[str, str]


def study_evidence(path: Path) -> StudyEvidence:
    """From a study's folder. Raises ConfigError for a folder that is none."""
    about, lines = path / "study.json", path / "trials.jsonl"
    if not about.exists() or not lines.exists():
        raise ConfigError(f"{path} is no study's folder; make one with: backtest tune --study {path}")
    settings = json.loads(about.read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    complete = [row for row in rows if row["state"] == "complete"]
    trials = [
        {
            "number": row["number"],
            "state": row["state"],
            "value": row["value"] if row["state"] == "complete" else None,
            "params": _searched(flat(row["params"])),
            **{name: row[name] for name in ("epochs", "losses", "reason") if name in row},
        }
        for row in rows
    ]
    returns = _returns(StudyFolder(path), [int(row["number"]) for row in complete])
    return StudyEvidence(
        part={
            **study_part(trials, importance(trials), path.name, objective_named(settings["objective"])),
            "rungs": settings.get("halving", []),
        },
        effective=None if returns is None else effective_trials(returns),
        fitted=None
        if returns is None or len(complete) < 2 or len(returns) < 2 * BLOCKS
        else overfitting(returns),
        span=(settings["from"], settings["to"]),
    )


def _returns(folder: StudyFolder, numbers: list[int]) -> Floats | None:
    """(hours, trials) of the complete trials, None without one."""
    return np.column_stack([folder.returns(number) for number in numbers]) if numbers else None


def _searched(params: Part) -> Part:
    """What can be drawn on an axis."""
    return {key: float(value) for key, value in params.items() if isinstance(value, int | float)}
