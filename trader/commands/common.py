"""What several verbs share: options, parameters from a file, one answer for people or machines."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader import terminal
from trader.core.errors import ConfigError
from trader.core.types import iso

if TYPE_CHECKING:
    from trader.adapters.book_file import BookFile as BookOfFile
    from trader.app.journal import Journal
    from trader.app.tick import Ticked
    from trader.config import Settings
    from trader.core.params import Params

AsJson = Annotated[bool, typer.Option("--json", help="one line of JSON instead of words")]
ParamsFile = Annotated[Path | None, typer.Option("--params", help="P.json of the strategy")]
StoreDir = Annotated[
    str | None,
    typer.Option("--store", help="where journal, models and events are kept: a folder or s3://bucket/prefix"),
]
BarsDir = Annotated[Path | None, typer.Option("--bars", help="folder of collected bars")]
BookFile = Annotated[
    Path | None,
    typer.Option(
        "--book", help="book.toml: many symbols on one account, in place of --symbol; default: the setting's"
    ),
]
Symbols = Annotated[
    str | None,
    typer.Option(
        "--symbols",
        help="many symbols on one account without a book.toml, such as BTCUSDT,ETHUSDT; default: the setting's",
    ),
]
Symbol = Annotated[str | None, typer.Option(help="trading pair, such as BTCUSDT; default: the setting's")]


@dataclass(frozen=True, slots=True)
class Traded:
    """What a verb is for. book: all symbols of a book, None for the settings' one symbol. strategy: the parameters that a book
    of one symbol gives it, which is traded as without a book."""

    settings: Settings
    book: BookOfFile | None = None
    strategy: Params | None = None


def traded(settings: Settings, symbol: str | None = None, params: Path | None = None) -> Traded:
    """What the settings trade. params: P.json of every symbol of a list without a book.toml. Raises ConfigError for a book that
    cannot be read, and for a `symbol` beside a book, which is ticked, trained and halted as a whole."""
    if not settings.has_book:
        return Traded(settings)
    if symbol is not None:
        named = settings.book or f"symbols {', '.join(settings.symbols or ())}"
        raise ConfigError(
            f"--symbol {symbol} and the book {named} are both named, and this verb is for all symbols of a book. Leave one of "
            f"them out"
        )
    from trader.adapters.book_file import book_of_symbols, read_book

    if settings.book is not None:
        book = read_book(settings.book)
    else:
        book = book_of_symbols(settings.symbols or (), settings.capital_usdt, params)
    if not book.is_one:
        return Traded(settings, book)
    (only,) = book.params.symbols
    alone = settings.model_copy(update={"symbol": only, "book": None, "symbols": None, "capital_usdt": None})
    by_symbol_alone = settings.book is None and settings.capital_usdt is None
    return Traded(alone, None, None if by_symbol_alone else book.strategies[only])


def settings_by_symbol(settings: Settings) -> list[Settings]:
    """The settings of each symbol that they trade: of all of a book, in alphabetical order, else of the one."""
    whole = traded(settings)
    if whole.book is None:
        return [whole.settings]
    return [settings.model_copy(update={"symbol": name}) for name in whole.book.params.symbols]


def params_from(path: Path | None, serving: Params | None) -> Params:
    """The file's parameters, else the serving model's, else the documented defaults."""
    from trader.core.params import DEFAULT_PARAMS, params_of, parse_params

    if path is not None:
        return parse_params(terminal.read_text(path, "parameters"), str(path))
    return serving or params_of(DEFAULT_PARAMS, "the defaults")


@dataclass(frozen=True, slots=True)
class HourClock:
    """The clock that a bot's hours close by, as it was read once: now_ms, UTC. words: where an embedded exchange's own clock
    stands and how fast it runs, or that the exchange does not answer; "" for this machine's clock. answered: False where it
    should have been the exchange's, and is this machine's."""

    now_ms: int
    words: str
    answered: bool


def hour_clock(settings: Settings) -> HourClock:
    """Read the clock that `trader tick` and `trader run` go by. Never fails: whoever asks how a bot stands gets an answer with
    a dead network too."""
    from trader import wiring
    from trader.adapters.clocks import ExchangeClock

    clock = wiring.make_clock(settings)
    if not isinstance(clock, ExchangeClock):
        return HourClock(clock.now_ms(), "", answered=True)
    if clock.speed is not None:
        return HourClock(clock.now_ms(), clock.words, answered=True)
    silent = f"the embedded exchange at {settings.exchange_url} does not answer"
    return HourClock(clock.now_ms(), silent, answered=False)


def say_ticked(journal: Journal, ticked: Ticked) -> None:
    """A tick's message; as JSON with its hour, its order's last attempt and outcome."""
    terminal.say(
        ticked.message + ("; halted, see: trader status" if ticked.halted else ""),
        "warning" if ticked.halted else "info",
        hour=iso(ticked.hour),
        attempt=_last_attempt(journal, ticked) if terminal.logs_json() else None,
        outcome=ticked.outcome,
        hours_closed=len(ticked.lines),
        halted=ticked.halted,
    )


def _last_attempt(journal: Journal, ticked: Ticked) -> int | None:
    """The number of the hour's last attempt; None without an order."""
    from trader.app.orders import MAX_ATTEMPTS

    if not ticked.lines or ticked.lines[-1].order_side is None:
        return None
    return next(
        (n - 1 for n in range(2, MAX_ATTEMPTS + 1) if not journal.attempt(ticked.hour, n)), MAX_ATTEMPTS
    )


def answer(value: dict[str, Any], words: str, as_json: bool) -> None:
    """One line of JSON for a machine, else words for a person."""
    if as_json:
        terminal.emit(value)
    else:
        terminal.show(words)


def started_as() -> str:
    """How this program is started again: by its bare name where the shell would find this very file by it."""
    started = Path(sys.argv[0])
    if started.suffix == ".py":
        return f"{shlex.quote(sys.executable)} -m trader.cli"
    found = shutil.which(started.name)
    known = found is not None and started.exists() and started.samefile(found)
    return started.name if known else shlex.quote(sys.argv[0])
