"""`backtest forecast`: a family's distributions, walked forward and scored beside the naive ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtest.commands.computing import Computing, computed
from backtest.commands.counting import of_forecast
from backtest.commands.inputs import Given, on_hours, writable
from backtest.commands.options import EVIDENCE, AsJson, EvidenceDir
from backtest.evidence.looks import ledger_in
from trader import terminal
from trader.core.errors import ConfigError
from trader.core.text import plural

if TYPE_CHECKING:
    from backtest.engine.forecast_forward import WindowForecast
    from backtest.evidence.block_errors import Estimate
    from backtest.evidence.forecast_score import ForecastReport
    from backtest.evidence.forecasts import StepScore
    from backtest.executors.protocol import Executor

Page = Annotated[Path | None, typer.Option("--html", help="write a page with charts to this file")]
_BPS = 1e4
_HEAD = ("h", "pinball", "CRPS", "skill, %", "50 %", "80 %", "95 %", "bias")


@on_hours
@computed
def forecast(
    given: Given,
    computing: Computing,
    html: Page = None,
    evidence: EvidenceDir = EVIDENCE,
    as_json: AsJson = False,
) -> None:
    """Score a family's distributions out of sample: pinball loss, CRPS, coverage, bias, P(up), beside the naive forecast.

    The family is the one that --params names, and must give a distribution. A run is one look at its hours, and counted.
    Example: backtest forecast --bars BTCUSDT-1h.parquet --from 2022-01-01 --to 2022-03-01 --params P.json
    """
    from backtest.engine.forecast_forward import p_up_alone
    from trader.core.families import own_family

    params = given.rules.params
    if own_family(params.model.family) is None and not hasattr(params.model, "forecast_hours"):
        raise ConfigError(p_up_alone(params.model.family))
    ledger = ledger_in(evidence, given.bars)
    writable(html)
    with computing.opened() as executor:
        report = _scored(given, executor, quiet=as_json)
    ledger.append(of_forecast(params, given.start, given.stop, "backtest forecast"))
    seconds = time.perf_counter() - given.began
    told = _answer(given, report, seconds)
    if html:
        from backtest.report.forecast_page import page_of

        terminal.write_lines(html, iter([page_of(given.title, told, report.fans)]))
    if as_json:
        terminal.emit(told)
        return
    _show(given, report)
    where = f"the page: {html}; " if html else ""
    terminal.show(terminal.paragraph(f"{where}{seconds:.1f} s"))


def _scored(given: Given, executor: Executor, *, quiet: bool) -> ForecastReport:
    from backtest.evidence.forecast_score import score_forecasts
    from trader.core.model_params import NAIVE, NaiveParams

    params = given.rules.params
    span = given.bars, params, given.start, given.stop
    with terminal.progress(f"windows of {params.model.family}", quiet=quiet) as update:
        walked = _walk(given, params, executor, update)
        if params.model.family == NAIVE:  # it is its own rival
            told = list(walked)
            return score_forecasts(told, told, *span)
        naive = NaiveParams(forecast_hours=params.forecast_hours)
        rival = params.model_copy(update={"model": naive, "train_symbols": None})
        return score_forecasts(walked, _walk(given, rival, executor), *span)


def _walk(given: Given, params: Any, executor: Executor, update: Any = None) -> Iterator[WindowForecast]:
    from backtest.engine.forecast_forward import forecast_forward
    from trader.forecasters.registry import forecaster_of

    return forecast_forward(
        forecaster_of(params.model.family),
        given.bars,
        params,
        given.start,
        given.stop,
        source=given.source,
        others=given.others if params.train_symbols else (),
        executor=executor,
        progress=update,
    )


def _answer(given: Given, report: ForecastReport, seconds: float) -> dict[str, Any]:
    """For a machine."""
    params = given.rules.params
    head = {
        "symbol": given.bars.symbol,
        "family": params.model.family,
        "forecast_hours": len(report.by_h),
        "horizon_hours": params.horizon_hours,
    }
    return {**head, **report.as_json(), "seconds": round(seconds, 3)}


def _show(given: Given, report: ForecastReport) -> None:
    title = f"{given.title}, out of sample"
    terminal.show(terminal.table(title, [_row(row) for row in report.shown], _HEAD))
    terminal.show("", terminal.table("", _facts(report, given.rules.params.horizon_hours)), "")
    for said in _notes(given, report):
        terminal.show(terminal.paragraph(said))


def _row(row: StepScore) -> tuple[str, ...]:
    return (
        f"{row.h}",
        _number(row.pinball, _BPS, 2),
        _number(row.crps, _BPS, 2),
        _with_error(row.pinball_skill, 100, 1, sign=True),
        *(_with_error(it, 100, 1) for it in row.coverage),
        _with_error(row.bias, _BPS, 1, sign=True),
    )


def _facts(report: ForecastReport, horizon: int) -> list[tuple[str, str]]:
    whole, up = report.overall, report.up
    return [
        ("pinball loss, mean over all h", f"{_number(whole.pinball, _BPS, 2)} bps"),
        ("its skill beside the naive forecast", f"{_with_error(whole.pinball_skill, 100, 2, sign=True)} %"),
        ("skill by CRPS", f"{_with_error(whole.crps_skill, 100, 2, sign=True)} %"),
        (f"Brier score of P(up), {horizon} h", _with_error(up.brier, 1, 4)),
        ("its skill beside the naive forecast", f"{_with_error(up.brier_skill, 100, 2, sign=True)} %"),
        ("hit rate of P(up)", f"{_with_error(up.hit_rate, 100, 2)} %"),
        ("hit rate of the naive forecast", f"{_with_error(up.naive_hit_rate, 100, 2)} %"),
    ]


def _notes(given: Given, report: ForecastReport) -> Iterator[str]:
    yield (
        "h in hours; losses and bias (r minus the median) in 1/10,000 of the log return, smaller losses are better. Skill is 1 "
        "- pinball loss / that of the naive forecast (the returns of the last 168 hours) on the same hours: above 0 is better. "
        "The next three columns say how often the interval of that level held. Behind each ± stands a standard error from "
        "blocks of days, at least twice h long; without one there are fewer than 8 blocks."
    )
    if report.silent:
        yield f"{plural(report.silent, 'hour')} of {report.hours:,} had no forecast."
    if given.rules.params.model.family == "naive":
        yield "The naive forecast is compared with itself here: its skill is 0 by definition."


def _number(it: Estimate, times: float, digits: int) -> str:
    return "-" if it.value is None else f"{it.value * times:.{digits}f}"


def _with_error(it: Estimate, times: float, digits: int, *, sign: bool = False) -> str:
    if it.value is None:
        return "-"
    value = round(it.value * times, digits) + 0.0
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text if it.error is None else f"{text} ±{it.error * times:.{digits}f}"
