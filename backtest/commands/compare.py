"""`backtest compare`: two reports side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from backtest.commands.options import AsJson
from trader import terminal
from trader.core.errors import ConfigError, DataError
from trader.core.params import params_of

LONGEST_CELL = 25  # two of them and the longest name fit into 80 columns
REPORT_KEYS = ("schema", "summary", "evidence", "settings")
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


def compare(
    one: Annotated[Path, typer.Argument(help="a report's .json")],
    other: Annotated[Path, typer.Argument(help="another report's .json")],
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
    terminal.show(terminal.table("", rows, ("", _short(one.stem), _short(other.stem))))
    for path, told in ((one, left), (other, right)):
        terminal.show(terminal.paragraph(f"{path.stem}: {told['evidence']['verdict']}"))
    if left["settings"]["data_hash"] != right["settings"]["data_hash"]:
        terminal.show("The two ran on different bars.")


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(terminal.read_text(path, "report"))
    except (ValueError, RecursionError):
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
    params = params_of(settings.pop("params"), "a report").as_json()
    model = {f"model.{key}": value for key, value in params.pop("model").items()}
    nested = {f"{name}.{k}": v for name in ("filters", "versions") for k, v in settings.pop(name).items()}
    span = {"symbol": told["symbol"], "from": told["from"], "to": told["to"]}
    return {**span, **settings, **nested, **params, **model}


def _text(value: Any) -> str:
    return _short("-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value))


def _short(text: str) -> str:
    """A text that is too long for a column, such as a list of features: its beginning and its end. --json has it whole."""
    half = (LONGEST_CELL - 3) // 2
    return text if len(text) <= LONGEST_CELL else f"{text[:half]}...{text[-half:]}"
