"""A pipeline's file: which bars, symbols, hours and families, what each stage is told, and a person's own stages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backtest.pipeline.spec_values import Table
from trader.core.errors import ConfigError
from trader.core.model_params import FAMILIES
from trader.core.params import Params
from trader.core.text import plural
from trader.core.types import DAY_MS, HOUR_MS, iso, parse_hour
from trader.plain_file import NotTextError, read_plain, text_of

STAGES = ("collect", "features", "tune", "predict", "backtest", "train", "check", "publish")
# Keys of P.json that decide what is traded on a prediction, and nothing of the model itself.
DECISIONS = (
    "enter_edge",
    "exit_edge",
    "exposure",
    "allocation_usdt",
    "cash_buffer",
    "rebalance_band",
    "halt_cumulative_return",
    "halt_drawdown",
    "price_band",
)
COSTS = ("fee_rate", "half_spread_bps", "slippage_bps", "fee_discount")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")
SYMBOL = re.compile(r"[A-Z0-9]{2,20}")


@dataclass(frozen=True, slots=True)
class OwnStage:
    """A person's own stage. run: a Python file or a notebook. inputs, outputs: as the file calls them. after: stages that must
    be done before it, though it reads nothing of them."""

    name: str
    run: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """What a pipeline's file says. Hours start <= T < stop (UTC ms); those before `test_from` choose the parameters, those from
    it on are backtested. model: keys of a family by its name. said: `bars` as it was written."""

    path: Path
    text: str
    bars: Path
    said: str
    symbols: tuple[str, ...]
    families: tuple[str, ...]
    start: int
    stop: int
    test_from: int
    out: Path
    source: str = "files"
    trials: int = 20
    seed: int = 0
    objective: str = "net_sharpe"
    check_days: int = 60
    newest_days: int = 180
    forecast_hours: int = 24
    params: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    decisions: Mapping[str, Any] = field(default_factory=dict)
    own: tuple[OwnStage, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the file lies; relative paths in it begin there."""
        return self.path.parent


def read_spec(path: Path) -> Spec:
    """Raises ConfigError, naming the key, for a file that cannot be read or says something that cannot be."""
    try:
        text = text_of(read_plain(path))
    except NotTextError as error:
        raise ConfigError(f"pipeline {path}, {error}") from None
    except OSError as error:
        raise ConfigError(f"pipeline {path} cannot be read: {error.strerror or error}") from None
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"pipeline {path} is no TOML: {error}") from None
    return spec_of(path, text, told)


def spec_of(path: Path, text: str, told: Mapping[str, Any]) -> Spec:
    """The same from the file's values."""
    known = ("pipeline", "params", "model", "stage", *STAGES)
    if strange := [it for it in told if it not in known]:
        raise ConfigError(f"{path}: there is no table [{strange[0]}]; the tables are {', '.join(known)}")
    if "pipeline" not in told:
        raise ConfigError(f"{path}: the table [pipeline] is missing; see docs/pipeline.md")
    of = {name: Table(path, name, told.get(name, {})) for name in known if name != "stage"}
    main = of["pipeline"]
    start, stop = parse_hour(main.text("from")), parse_hour(main.text("to"))
    if stop - start < 2 * DAY_MS:
        raise ConfigError(f"{path}: [pipeline] to must be at least two days later than from")
    bars, out = main.text("bars"), main.text("out")
    spec = Spec(
        path=path,
        text=text,
        bars=path.parent / bars,
        said=bars,
        symbols=_symbols(main),
        families=_families(main),
        start=start,
        stop=stop,
        test_from=_test_from(of["tune"], start, stop),
        out=path.parent / out,
        source=of["collect"].choice("source", ("files", "market"), "files"),
        trials=of["tune"].number("trials", 20, least=0),
        seed=of["tune"].number("seed", 0, least=0),
        objective=of["tune"].text("objective", "net_sharpe"),
        check_days=of["check"].number("days", 60, least=1),
        newest_days=of["check"].number("newest_days", 180, least=1),
        forecast_hours=of["publish"].number("hours", 24, least=1),
        params=_params(of["params"], of["features"]),
        model={name: _keys(path, name, it) for name, it in of["model"].rest().items()},
        decisions=of["backtest"].only((*DECISIONS, *COSTS)),
        own=_own_stages(path, told.get("stage", {})),
    )
    for table in of.values():
        table.require_all_read()
    return spec


def _symbols(main: Table) -> tuple[str, ...]:
    found = main.texts("symbols")
    for it in found:
        if not SYMBOL.fullmatch(it):
            raise ConfigError(f"{main.place('symbols')} {it!r} must be a trading pair, such as BTCUSDT")
    return found


def _families(main: Table) -> tuple[str, ...]:
    found = main.texts("families")
    for it in found:
        if it not in FAMILIES:
            raise ConfigError(
                f"{main.place('families')}: there is no family of models {it!r}; there are {', '.join(FAMILIES)}"
            )
    return found


def _test_from(tune: Table, start: int, stop: int) -> int:
    """The first hour that is backtested: [tune] to, else the middle's midnight; `from` itself where nothing is searched."""
    told, trials = tune.text("to", ""), tune.number("trials", 20, least=0)
    if trials == 0 and not told:
        return start
    at = parse_hour(told) if told else start + (stop - start) // (2 * DAY_MS) * DAY_MS
    if not start + DAY_MS <= at <= stop - DAY_MS:
        raise ConfigError(
            f"{tune.place('to')} {iso(at)} must be a day or more after [pipeline] from, {iso(start)}, and before its to, "
            f"{iso(stop)}: the hours before it choose the parameters, the hours from it on are backtested"
        )
    return at


def _params(params: Table, features: Table) -> dict[str, Any]:
    """Keys of P.json that all families share."""
    names = [it for it in Params.model_fields if it not in ("model", "features", *DECISIONS)]
    found = params.only(names)
    preset = features.text("preset", "")
    return found | ({"features": preset} if preset else {})


def _keys(path: Path, family: str, told: Any) -> Mapping[str, Any]:
    if family not in FAMILIES or not isinstance(told, dict):
        raise ConfigError(
            f"{path}: [model.{family}] must be a table of a family; there are {', '.join(FAMILIES)}"
        )
    return told


def _own_stages(path: Path, told: Any) -> tuple[OwnStage, ...]:
    if not isinstance(told, dict):
        raise ConfigError(f"{path}: [stage.NAME] must be a table")
    found = []
    for name, values in told.items():
        table = Table(path, f"stage.{name}", values)
        if not NAME.fullmatch(name) or name in STAGES:
            raise ConfigError(
                f"{path}: [stage.{name}] must have a name of its own, of letters, digits, - and _; {', '.join(STAGES)} are taken"
            )
        run = path.parent / table.text("run")
        if run.suffix not in (".py", ".ipynb"):
            raise ConfigError(f"{table.place('run')} {run.name} must be a Python file or a notebook (.ipynb)")
        found.append(
            OwnStage(
                name,
                run,
                table.paths("inputs"),
                table.paths("outputs", needed=True),
                table.texts("after", needed=False),
            )
        )
        table.require_all_read()
    return tuple(found)


def hours_text(start: int, stop: int) -> str:
    """A span for messages."""
    return f"{iso(start)} to {iso(stop)} ({plural((stop - start) // HOUR_MS, 'hour')})"
