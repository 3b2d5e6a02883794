"""What `backtest tune` shows a person while it searches and when it has ended, and tells a machine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtest.commands.computing import Computing
from backtest.study.objectives import MEANING, Objective
from trader import terminal
from trader.core.text import plural

if TYPE_CHECKING:
    from backtest.study.halving import RungProgress
    from backtest.study.trials import Study, Trial


def show_trials(title: str, found: Study, objective: Objective, study: Path | None) -> None:
    """The complete trials as a table, how many were none, and the best. study: the folder, None without one."""
    terminal.show(_table(title, found.trials, objective))
    for said in (_not_complete(found.trials, study), _conclusion(found, objective, study)):
        if said:
            terminal.show(terminal.paragraph(said))


def watched(
    search: Callable[..., Study],
    computing: Computing,
    objective: Objective,
    study: Path | None,
    *,
    halving: bool,
    quiet: bool,
) -> Study:
    """The search, its progress shown; an interrupted one ends by saying what is kept."""
    ended, said = 0, ""
    unit = "epochs" if halving else "trials"
    try:
        with computing.opened(study) as executor, terminal.progress(unit, quiet=quiet) as update:

            def report(done: int, of: int, best: float) -> None:
                nonlocal ended, said
                ended, said = done, "" if math.isnan(best) else f"best {MEANING[objective]}: {best:.4g}"
                if not halving:
                    update(done, of, said)

            def epochs(at: RungProgress) -> None:
                update(at.done, at.of, _rung_words(at, said))

            return search(executor=executor, progress=report, epochs=epochs)
    except KeyboardInterrupt:
        kept = (
            f"are kept in {study}, and so is every window already fitted; the same command goes on from there"
            if study
            else "are lost, for there was no --study folder to keep them in"
        )
        terminal.say(f"interrupted: {plural(ended, 'trial has', 'trials have')} ended and {kept}")
        raise SystemExit(terminal.EXIT_INTERRUPTED) from None


def _rung_words(at: RungProgress, best: str) -> str:
    """Where a study of a family that learns in epochs is."""
    where = f"rung {at.rung} of {at.rungs}: {plural(at.trials, 'trial')} to epoch {at.epoch}"
    return f"{where}; {best}" if best else where


def answer_of(found: Study, best: Trial, objective: Objective, seconds: float) -> dict[str, Any]:
    """For a machine."""
    states = Counter(trial.state for trial in found.trials)
    return {
        "best": best.row(),
        "family": best.params.model.family,
        "objective": objective,
        "trials": len(found.trials),
        "states": dict(sorted(states.items())),
        "configurations": found.configurations,
        "seconds": round(seconds, 3),
    }


def _table(title: str, trials: Sequence[Trial], objective: Objective) -> str:
    """The complete trials, best first; of the others a score is over other hours, so only their number is told."""
    from backtest.study.trials import number_of

    complete = sorted((t for t in trials if t.state == "complete"), key=lambda t: -number_of(t.value))
    rows = [
        (
            f"trial {t.number}",
            "-" if t.traded_value is None else f"{t.traded_value:.4g}",
            terminal.percent(t.net_return),
            f"{t.orders:,}",
        )
        for t in complete
    ]
    head = ("complete, best first", MEANING[objective], "net return, compounded", "orders")
    return terminal.table(title, rows, head)


def _not_complete(trials: Sequence[Trial], study: Path | None) -> str:
    """How many trials were pruned or failed, and after how many windows or epochs; nothing where all are complete."""
    said = []
    for state in ("pruned", "failed"):
        for unit in ("window", "epoch"):
            ended = [t for t in trials if t.state == state and (unit == "epoch") == bool(t.epochs)]
            if ended:
                ran = [t.epochs or t.windows_run for t in ended]
                said.append(f"{plural(len(ended), 'trial')} {state} after {_span(ran, unit)}")
    where = f"; every trial is in {study / 'trials.jsonl'}" if study and said else ""
    return f"{', '.join(said)}{where}" if said else ""


def _span(ran: Sequence[int], unit: str) -> str:
    low, high = min(ran), max(ran)
    return plural(low, unit) if low == high else f"{low:,} to {plural(high, unit)}"


def _conclusion(found: Study, objective: Objective, study: Path | None) -> str:
    best = found.best
    where = f"; its parameters are in {study / 'P.json'}" if study else ""
    of = f" of {plural(found.configurations, 'configuration')}"
    if best.orders == 0:
        return f"best{of}: do not trade. Nothing that trades is worth more than standing aside{where}"
    return f"best{of}: trial {best.number}, {MEANING[objective]} {best.value:.4g}{where}"
