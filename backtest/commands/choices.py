"""`backtest choices`: what each family offers, measured on given bars, before one is trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtest.commands.counting import config_of_candidate, of_candidate
from backtest.commands.inputs import read_params
from backtest.commands.many_bars import Bars, Frequency, More, bars_files, freq_of
from backtest.commands.options import EVIDENCE, AsJson, EvidenceDir, ParamsFile
from backtest.evidence.looks import ledger_in
from trader import terminal
from trader.core.errors import ConfigError
from trader.core.model_params import LONGEST_FORECAST_HOURS
from trader.core.text import plural
from trader.core.types import DAY_MS, HOUR_MS, iso

if TYPE_CHECKING:
    from backtest.select.choices import Choice, Stretch
    from trader.core.params import Params
    from trader.core.types import Bars as Series

Families = Annotated[
    str | None,
    typer.Option(
        help="comma-separated; default: every family there is; the naive forecast is always there",
        show_default=False,
    ),
]
Ahead = Annotated[
    int,
    typer.Option("--hours", min=1, max=LONGEST_FORECAST_HOURS, help="steps ahead: hours, or days at 1d"),
]
Days = Annotated[
    int | None,
    typer.Option(
        min=10,
        max=1_000,
        help="days that each is fitted on; default: 30 at 1h, 365 at 1d",
        show_default=False,
    ),
]
_DAYS = {"1h": 30, "1d": 365}
# What is held back: days of hours; at 1d the steps ahead beside them.
_HELD_BACK = {"1h": 7, "1d": 28}


def choices(
    bars: Bars,
    more: More = None,
    families: Families = None,
    freq: Frequency = "1h",
    hours: Ahead = 24,
    days: Days = None,
    params: ParamsFile = None,
    evidence: EvidenceDir = EVIDENCE,
    as_json: AsJson = False,
) -> None:
    """Compare families before training: horizon, reasons, cost of a fit and of a forecast, one model or many, skill.

    Each is fitted once on a small window of these bars and scored on the days after it, which were held back: it is a look at
    them, and each family that was scored is counted in the evidence ledger, as a candidate of backtest select is.
    Example: backtest choices --bars data --families naive,xgboost --freq 1h --hours 24
    """
    from backtest.select.choices import Stretch

    asked, files = freq_of(freq), bars_files([*bars, *(more or [])])
    base, named = read_params(params, {}), _named(families)
    series = [it.load() for it in files]
    held, stop = _HELD_BACK[asked], min(it.last for it in series)
    stop = (stop - (HOUR_MS if asked == "1h" else 0)) // DAY_MS * DAY_MS
    ahead = hours if asked == "1d" else 0  # so that a model is scored at its furthest step, too
    stretch = Stretch(asked, stop - (held + ahead) * DAY_MS, stop, days or _DAYS[asked], hours)
    _require_bars(series, stretch)
    found = list(_measured(named, base, series, stretch, evidence, quiet=as_json))
    told = _answer(series, stretch, found)
    if as_json:
        terminal.emit(told)
        return
    _show(told, found)


def _named(families: str | None) -> list[str]:
    """What is compared, the naive forecast first; names that are not known are refused by whoever makes the candidate."""
    from trader.core.model_params import FAMILIES, NAIVE

    named = FAMILIES if families is None else [it.strip() for it in families.split(",") if it.strip()]
    return list(dict.fromkeys((NAIVE, *named)))


def _require_bars(series: list[Series], stretch: Stretch) -> None:
    """Raises ConfigError for a series that does not hold the small window."""
    # Beside the window: the gap, the horizon, and the longest context.
    begin = stretch.start - (stretch.days + 1) * DAY_MS
    for it in series:
        if it.first > begin:
            raise ConfigError(
                f"{it.symbol} begins at {iso(it.first)}; fitting on {plural(stretch.days, 'day')} and holding back the rest up "
                f"to {iso(stretch.stop)} needs bars from {iso(begin)} on. Give older bars, fewer --days, or leave it out"
            )


def _measured(
    named: list[str], base: Params, series: list[Series], stretch: Stretch, evidence: Path, *, quiet: bool
) -> Iterator[Choice]:
    """Each family in turn, alone on the machine; counted when it was scored, or failed."""
    from backtest.select.candidates import VARIANTS, candidates_of
    from backtest.select.choices import Choice, longest_horizon, measured
    from trader.forecasters.libraries import NEEDS
    from trader.forecasters.registry import BUILDERS, forecaster_of, installed, traits_of, way_to

    ledgers = [ledger_in(evidence, it) for it in series]
    there = installed()
    with terminal.progress("families", quiet=quiet) as update:
        for done, name in enumerate(named):
            update(done, len(named), name)
            family = VARIANTS.get(name, (name, {}))[0]
            if family in BUILDERS and family not in there:
                scope, horizon = traits_of(family).scope, longest_horizon(family)
                yield Choice(name, horizon, scope=scope, reason="not installed", install=way_to(family))
                continue
            try:
                candidate = candidates_of([name], base, stretch.freq, forecaster_of, stretch.steps)[-1]
            except ConfigError as error:
                if family not in there:
                    raise
                yield Choice(name, longest_horizon(family), scope=traits_of(family).scope, reason=str(error))
                continue
            choice = measured(candidate, series, stretch, NEEDS.get(family, ""))
            row = {"candidate": name, "state": "failed" if choice.reason else "complete"}
            config = config_of_candidate(candidate.params, stretch.freq)
            for ledger in ledgers:
                ledger.append(of_candidate(row, config, stretch.start, stretch.stop, "backtest choices"))
            yield choice
        update(len(named), len(named), "")


def _answer(series: list[Series], stretch: Stretch, found: list[Choice]) -> dict[str, Any]:
    """For a machine: every choice, with its skill beside the naive forecast."""
    naive = found[0]
    rows = [
        {
            **it.as_json(),
            "skill": _skill(it.pinball, naive.pinball),
            "p_up_skill": _skill(it.brier, naive.brier),
        }
        for it in found
    ]
    return {
        "symbols": [it.symbol for it in series],
        "freq": stretch.freq,
        "steps": stretch.steps,
        "fitted_on_days": stretch.days,
        "from": iso(stretch.start),
        "to": iso(stretch.stop),
        "families": rows,
    }


def _skill(loss: float | None, naive: float | None) -> float | None:
    return None if loss is None or not naive else 1 - loss / naive


def _show(told: dict[str, Any], found: list[Choice]) -> None:
    unit = "hours" if told["freq"] == "1h" else "days"
    symbols = told["symbols"]
    what = symbols[0] if len(symbols) == 1 else plural(len(symbols), "series", "series")
    title = f"{what} at {told['freq']}, fitted on {told['fitted_on_days']} days up to {told['from'][:10]}"
    head = ("family", "ahead", "how", "models", "kB", "fit, s", "ms", "skill, %", "P(up), %")
    rows = [_row(it) for it in told["families"] if not it["reason"]]
    terminal.show(terminal.table(title, rows, head), "")
    said = [(it.family, it.reasons) for it in found if not it.reason]
    terminal.show("What each can say of its reasons:", terminal.labelled(said), "")
    for it in found:
        if it.reason:
            where = f". Install it: {it.install}" if it.install else ""
            said_of = it.reason.removeprefix("--families: ").removeprefix(f"{it.family} ")
            terminal.show(terminal.paragraph(f"{it.family}: {said_of}{where}"))
    for words in _notes(told, unit):
        terminal.show(terminal.paragraph(words))


def _row(it: dict[str, Any]) -> tuple[str, ...]:
    many = f"{it['models']}" + (" for all" if it["scope"] == "global" else "")
    return (
        it["family"],
        f"{it['horizon']}",
        it["ahead"],
        many,
        f"{it['model_bytes'] / 1e3:,.1f}",
        f"{it['fit_seconds']:.3g}",
        f"{it['predict_ms']:.2g}",
        _percent(it["skill"]),
        _percent(it["p_up_skill"]),
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{round(share * 100, 1) + 0.0:+.1f}"


def _notes(told: dict[str, Any], unit: str) -> Iterator[str]:
    yield (
        f"Ahead: the most {'hours' if unit == 'hours' else 'steps'} that a model can be told to forecast. How: one pass gives "
        "every step, recursive steps on from the filtered state, direct is P(up) of one horizon, another model for another. "
        "Models, kB, fit: for all these series. ms: one forecast by a loaded model, the median; both of the processor."
    )
    held = f"{told['from'][:10]} to {told['to'][:10]}"
    yield (
        f"Skill is beside the naive forecast, by pinball loss over 1 to {told['steps']} {unit}, and by the Brier score of P(up), "
        f"on {held}, which no fit saw. So short a stretch tells a broken family from a working one, and no more: two that are "
        "some percent apart may change places on the next one. Judge by backtest forecast and backtest select."
    )
