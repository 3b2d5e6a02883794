"""`backtest report` and `backtest compare`: what a strategy is worth, on paper and side by side."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtest.commands.inputs import (
    CORES,
    AsJson,
    BarsFile,
    EvidenceDir,
    FiltersFile,
    From,
    ParamsFile,
    Symbol,
    To,
    Workers,
    filters_of,
    load,
    looked_at,
)
from trader import terminal
from trader.core.errors import ConfigError, DataError
from trader.core.types import iso

if TYPE_CHECKING:
    from backtest.evidence.judgement import Evidence

REPORT_KEYS = ("schema", "summary", "evidence", "settings")


def report(
    bars: BarsFile,
    start: From,
    stop: To,
    params: ParamsFile = None,
    symbol: Symbol = None,
    filters: FiltersFile = None,
    out: Annotated[Path, typer.Option("--out", help="the page; its figures lie beside it as .json")] = Path(
        "report.html"
    ),
    study: Annotated[
        Path | None, typer.Option("--study", help="folder of the study that chose the parameters")
    ] = None,
    evidence: EvidenceDir = Path("evidence"),
    workers: Workers = CORES,
    as_json: AsJson = False,
) -> None:
    """Say what a strategy is worth on hours that did not choose it: rivals, costs, ten seeds, everything tried, a verdict.

    Looking is counted: each report on the same hours is one more look at them.
    Example: backtest report --bars BTCUSDT-1h.parquet --from 2022-01-01 --to 2023-01-01 --params study/P.json --study study
    """
    from backtest.engine.outcome import run_backtest
    from backtest.evidence.judgement import assess
    from backtest.evidence.ledger import EvidenceLedger, count, data_hash
    from backtest.report.data import report_of
    from backtest.report.page import page_of
    from backtest.report.study import study_evidence
    from trader.core.hours import Rules
    from trader.core.windows import require_span
    from trader.forecasters.xgboost import XGBoostForecaster

    began = time.perf_counter()
    series, chosen, first, last = load(bars, symbol, params, start, stop)
    require_span(series, first, last, str(bars))
    rules = Rules(chosen, filters_of(filters, series, first))
    chosen_by = study_evidence(study) if study else None
    ledger = EvidenceLedger(evidence, data_hash(series))
    ledger.append([])  # a folder that cannot be written is found before the work
    terminal.write_lines(out, iter(()))
    forecaster = XGBoostForecaster()
    with terminal.progress("windows", quiet=as_json) as update:
        outcome = run_backtest(
            forecaster,
            series,
            rules,
            first,
            last,
            source=str(bars),
            workers=workers,
            progress=update,
            began=began,
        )
    before = ledger.entries()
    looked = looked_at(chosen, first, last, outcome.run.equity, "backtest report")
    ledger.append(looked)
    tried = count([*before, looked[0]], first, last)
    with terminal.progress("seeds", quiet=as_json) as update:
        told = assess(
            forecaster, series, outcome.run.track.p_up.astype("float32"), rules, first, last,
            trials=tried,
            effective=chosen_by.effective if chosen_by else None, fitted=chosen_by.fitted if chosen_by else None,
            source=str(bars), workers=workers, progress=update,
        )  # fmt: skip
    versions = {"hourly-trader": version("hourly-trader"), "python": sys.version.split()[0]} | {
        name: version(name) for name in ("numpy", "TA-Lib", "optuna")
    }
    made = report_of(
        series, rules, outcome.run, outcome.summary, told, first, last,
        source=bars.name, versions=versions, study=chosen_by.part if chosen_by else None,
    )  # fmt: skip
    terminal.write_lines(out, iter([page_of(made)]))
    terminal.write_lines(out.with_suffix(".json"), iter([json.dumps(made)]))
    if as_json:
        terminal.emit(made)
        return
    _show(series.symbol, told, outcome.summary, iso(first), iso(last))
    print(f"the page: {out}; its figures: {out.with_suffix('.json')}; {time.perf_counter() - began:.0f} s")


def _show(symbol: str, told: Evidence, summary: dict[str, Any], first: str, last: str) -> None:
    rows = [
        (s.name, terminal.percent(s.net_return), f"{s.sharpe:.2f}", f"{s.max_drawdown * 100:.1f} %",
         "-" if s.orders is None else f"{s.orders:,}")
        for s in (told.strategy, *told.rivals, *told.stress[1:])
    ]  # fmt: skip
    head = ("", "net return", "Sharpe, a year", "drawdown", "orders")
    print(terminal.table(f"{symbol}, {first} to {last}, out of sample", rows, head))
    lot = told.lottery
    facts = [
        ("random entries that did worse", "-" if lot is None else f"{lot.share_below:.1%} of {lot.draws:,}"),
        (
            "break-even cost of one side",
            "-" if told.break_even_bps is None else f"{told.break_even_bps:.1f} bps",
        ),
        ("ten seeds, median net return", terminal.percent(told.seeds.median)),
        ("probabilistic Sharpe ratio", f"{told.psr:.3f}"),
        (f"deflated; configurations tried: {told.trials.configurations}", f"{told.dsr:.3f}"),
        (
            "deflated" if told.effective is None else f"deflated; independent trials: {told.effective:.1f}",
            "-" if told.dsr_effective is None else f"{told.dsr_effective:.3f}",
        ),
        ("probability of overfitting", "-" if told.pbo is None else f"{told.pbo:.1%}"),
        ("hit rate", "-" if summary["hit_rate"] is None else f"{summary['hit_rate']:.2%}"),
    ]
    print()
    print(terminal.table("", facts))
    print()
    print(told.verdict)


def compare(
    one: Annotated[Path, typer.Argument(help="a report's .json")],
    other: Annotated[Path, typer.Argument(help="another's")],
    as_json: AsJson = False,
) -> None:
    """Two reports side by side: figures, verdicts, and every setting that differs.

    Example: backtest compare first.json second.json
    """
    left, right = _read(one), _read(other)
    figures = [(name, _figure(left, path), _figure(right, path)) for name, path in FIGURES]
    settings = _differences(left, right)
    if as_json:
        terminal.emit(
            {
                "figures": [{"what": w, "one": a, "other": b} for w, a, b in figures],
                "settings": [{"what": w, "one": a, "other": b} for w, a, b in settings],
                "verdicts": [left["evidence"]["verdict"], right["evidence"]["verdict"]],
            }
        )
        return
    rows = [(w, _text(a), _text(b)) for w, a, b in figures] + [("", "", "")]
    rows += [(w, _text(a), _text(b)) for w, a, b in settings]
    print(terminal.table("", rows, ("", one.stem, other.stem)))
    for path, told in ((one, left), (other, right)):
        print(f"{path.stem}: {told['evidence']['verdict']}")
    if left["settings"]["data_hash"] != right["settings"]["data_hash"]:
        print("The two ran on different bars.")


FIGURES = (
    ("net return", ("summary", "net_return")),
    ("gross return", ("summary", "gross_return")),
    ("buy and hold", ("summary", "buy_and_hold")),
    ("Sharpe, a year", ("evidence", "strategy", "sharpe")),
    ("largest drawdown", ("summary", "max_drawdown")),
    ("orders", ("summary", "orders")),
    ("hit rate", ("summary", "hit_rate")),
    ("deflated Sharpe ratio", ("evidence", "dsr")),
    ("probability of overfitting", ("evidence", "pbo")),
    ("ten seeds, median", ("evidence", "seeds_median")),
    ("break-even, bps", ("evidence", "break_even_bps")),
)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(terminal.read_text(path, "report"))
    except ValueError:
        value = None
    if not isinstance(value, dict) or any(key not in value for key in REPORT_KEYS):
        raise DataError(f"{path} is not a report's .json; make one with: backtest report")
    if value["schema"] != "report/1":
        raise ConfigError(f"{path} is of schema {value['schema']!r}; make it again with: backtest report")
    return value


def _figure(told: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = told
    for key in path:
        value = value[key]
    return value


def _differences(left: dict[str, Any], right: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    one, other = _flat(left), _flat(right)
    return [
        (k, one.get(k), other.get(k)) for k in sorted(one.keys() | other.keys()) if one.get(k) != other.get(k)
    ]


def _flat(told: dict[str, Any]) -> dict[str, Any]:
    settings = dict(told["settings"])
    params = dict(settings.pop("params"))
    trees = {f"xgboost.{key}": value for key, value in params.pop("xgboost").items()}
    nested = {f"{name}.{k}": v for name in ("filters", "versions") for k, v in settings.pop(name).items()}
    span = {"symbol": told["symbol"], "from": told["from"], "to": told["to"]}
    return {**span, **settings, **nested, **params, **trees}


def _text(value: Any) -> str:
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
