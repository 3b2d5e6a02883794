"""What the verbs of `backtest` are given: bars, the hours of them, the rules they are traded by."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtest.commands.options import (
    BarsFiles,
    FiltersFile,
    From,
    HorizonHours,
    LabelKind,
    ParamsFile,
    Preset,
    Symbol,
    To,
)
from trader import terminal
from trader.core.errors import ConfigError
from trader.core.hours import Rules
from trader.core.jumps import require_no_jump
from trader.core.params import DEFAULT_PARAMS, Params, params_of, parse_params
from trader.core.presets import preset_named
from trader.core.types import HOUR_MS, Bars, Filters, iso, parse_hour
from trader.core.windows import refit_of, require_span

if TYPE_CHECKING:
    from trader.adapters.source_s3 import S3Access


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """Hours start <= T < stop (UTC ms) of bars, and the rules they are traded by. source: the bars' file, for messages.
    began: when the verb was asked, on time.perf_counter. others: bars of the further symbols that a fit sees."""

    bars: Bars
    rules: Rules
    start: int
    stop: int
    source: str
    began: float
    others: tuple[Bars, ...] = ()

    @property
    def title(self) -> str:
        """For the head of a table."""
        family = self.rules.params.model.family
        first, stop = terminal.minute(iso(self.start)), terminal.minute(iso(self.stop))
        return f"{self.bars.symbol} by {family}, {first} to {stop}"


def given(
    bars: BarsFiles,
    start: From,
    stop: To,
    params: ParamsFile = None,
    symbol: Symbol = None,
    filters: FiltersFile = None,
    features: Preset = None,
    horizon_hours: HorizonHours = None,
    label: LabelKind = None,
) -> Given:
    """Read the files. An option that names a parameter wins over the file's value. Raises ConfigError or DataError for one
    that cannot be read, or hours that the bars do not hold."""
    from trader.adapters.bar_folder import BarSources

    began = time.perf_counter()
    chosen = read_params(params, {"features": features, "horizon_hours": horizon_hours, "label": label})
    first, last = parse_hour(start), parse_hour(stop)
    if last <= first:
        raise ConfigError(f"--to {stop} must be later than --from {start}")
    sources = BarSources.of(bars, symbol, access=s3_access)
    source = str(sources.path(sources.traded))
    series = sources.read(sources.traded, terminal.say)
    require_span(series, first, last, source)
    others = tuple(sources.read(it, terminal.say) for it in sources.beside(_seen(chosen, sources.traded)))
    for it in (series, *others):
        read = it.span(refit_of(chosen, 0, first).train_from, last + HOUR_MS)
        require_no_jump(read, str(sources.path(it.symbol)))
    for it in others:
        if len(it) and it.last < last:
            terminal.say(
                f"{it.symbol}: its bars end at {iso(it.last)}; later fits learn from these, and leave it out once they lie "
                f"before a window. If it is still traded: trader collect --symbols {it.symbol}"
            )
    rules = Rules(chosen, _filters(filters, series, first))
    return Given(series, rules, first, last, source, began, others)


def s3_access() -> S3Access:
    """How a bucket with bars is reached: by the settings that a store in S3 has."""
    from trader.adapters.source_s3 import S3Access
    from trader.config import load_settings

    settings = load_settings()
    return S3Access(settings.s3_region, settings.s3_endpoint_url, settings.timeout_s)


def _seen(params: Params, traded: str) -> Sequence[str]:
    """The symbols that a fit sees. Raises ConfigError where `train_symbols` does not suit the symbol or the family."""
    if params.train_symbols is None:
        return ()
    from trader.core.training import train_symbols_of
    from trader.forecasters.registry import traits_of

    return train_symbols_of(params, traded, traits_of(params.model.family))


def on_hours(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb whose first argument is what is `given`: the options of that come before its own."""
    shared = inspect.signature(given, eval_str=True).parameters
    _, *own = inspect.signature(verb, eval_str=True).parameters.values()
    options = [it.replace(kind=inspect.Parameter.KEYWORD_ONLY) for it in (*shared.values(), *own)]

    @wraps(verb)
    def asked(**values: object) -> None:
        read = {name: values.pop(name) for name in shared}
        verb(given(**read), **values)  # type: ignore[arg-type]  # the command line has checked them

    # What the command line reads a verb's options from.
    asked.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]  # inspect's own name for it
    asked.__annotations__ = {it.name: it.annotation for it in options}
    return asked


def writable(path: Path | None) -> None:
    """A folder that cannot be written is found before the work. Raises ConfigError."""
    if path is not None:
        terminal.write_lines(path, iter(()))


def read_params(path: Path | None, options: dict[str, Any]) -> Params:
    """The file's parameters, else the documented defaults, with the options that were given in place of theirs."""
    read = (
        params_of(DEFAULT_PARAMS, "the defaults")
        if path is None
        else parse_params(terminal.read_text(path, "parameters"), str(path))
    )
    chosen = {name: value for name, value in options.items() if value is not None}
    if not chosen:
        return read
    if "features" in chosen:
        chosen["features"] = preset_named(chosen["features"]).name
    return params_of({**read.as_json(), **chosen}, "the options")


def _filters(path: Path | None, series: Bars, start: int) -> Filters:
    """The file's filters, else those that suit the price at `start`."""
    if path is not None:
        from trader.adapters.exchange_info import read_filters

        return read_filters(path)
    return Filters.derived(float(series.close[series.row(start)]))
