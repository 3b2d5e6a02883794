"""Where concrete adapters are named: settings in, a bot out; and the embedded exchange as a child process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from trader.adapters.bans import BanFile
from trader.adapters.bar_names import bar_file
from trader.adapters.binance_client import VenueAddress
from trader.adapters.binance_connection import Quota
from trader.adapters.binance_klines import BinanceKlines
from trader.adapters.binance_outages import outage_of
from trader.adapters.binance_spot import BinanceSpot
from trader.adapters.clocks import ExchangeClock, WallClock, market_served
from trader.adapters.files import read_bars, write_bars
from trader.adapters.revisions_file import RevisionsFile
from trader.adapters.source_market import SourceMarket
from trader.adapters.source_s3 import S3Access
from trader.adapters.sources import span_source
from trader.adapters.store_local import LocalStore
from trader.adapters.store_signed import SignedStore
from trader.app.book import Book
from trader.app.book_journal import BookJournal
from trader.app.bot import Bot, loaded
from trader.app.collect import Collector
from trader.app.cover import OrderLimits
from trader.app.journal import Journal
from trader.app.layout import BOOK
from trader.config import Settings
from trader.core.book_params import BookParams
from trader.core.errors import ConfigError, Retry, TraderError, WrongStore
from trader.core.params import MOST_USDT, Params
from trader.core.ports import Clock, MarketData, Store
from trader.core.prediction import LoadedModel
from trader.core.types import HOUR_MS, Bars, Progress, iso, no_bars, plain
from trader.forecasters.registry import forecaster_of


@dataclass(frozen=True, slots=True)
class ParquetBars:
    """Collected bars as `<folder>/<symbol>-1h.parquet`."""

    folder: Path

    def path(self, symbol: str) -> Path:
        """The file of a symbol."""
        return bar_file(self.folder, symbol)

    def load(self, symbol: str) -> Bars:
        """What was collected, without rows if nothing was."""
        path = self.path(symbol)
        return read_bars(path, symbol) if path.exists() else no_bars(symbol)

    def save(self, bars: Bars) -> None:
        """Replace the file, atomically."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.folder} cannot be made: {error.strerror}. Set TRADER_BARS") from None
        write_bars(self.path(bars.symbol), bars)


def make_store(settings: Settings, durable: bool = True) -> Store:
    """The store that the settings name; with a key, one that compares the tags of what decides."""
    store, signer = make_plain_store(settings, durable), settings.signer
    return store if signer is None else SignedStore(store, signer)


def make_plain_store(settings: Settings, durable: bool = True) -> Store:
    """The same without a look at tags: bytes as they lie there. S3 flushes always: `durable` is about folders."""
    if settings.bucket is None:
        return LocalStore(Path(settings.store), durable=durable)
    from trader.adapters.store_s3 import S3Store

    bucket, prefix = settings.bucket
    return S3Store(
        bucket,
        prefix,
        region=settings.s3_region,
        endpoint_url=settings.s3_endpoint_url,
        timeout_s=settings.timeout_s,
    )


def make_journal(settings: Settings) -> Journal:
    """The journal of the settings' symbol, for verbs that need no venue. Raises WrongStore where the store is another's."""
    journal = Journal(make_store(settings), settings.symbol)
    journal.require_own()
    return journal


def make_journals(settings: Settings, params: BookParams) -> list[Journal]:
    """The journal of every symbol of a book, alphabetical. Raises WrongStore where the store is not this book's."""
    store = make_store(settings)
    journals = [Journal(store, it, params.symbols) for it in params.symbols]
    journals[0].require_own()
    return journals


def make_model(journal: Journal, model_id: str) -> LoadedModel:
    """A published model, ready to predict. Raises DataError, or ConfigError where its family is not installed."""
    return loaded(journal, forecaster_of, model_id)


def make_quota(settings: Settings, url: str, clock: Clock) -> Quota:
    """What a host allows this machine, with a ban that an earlier process met. The embedded exchange's time is its own, so
    its bans are not kept."""
    if settings.venue == "embedded":
        return Quota()
    return Quota(BanFile(settings.bars / "bans.json", url), clock.now_ms())


def make_clock(settings: Settings) -> Clock:
    """The embedded exchange's own clock, whatever its speed; this machine's for every other venue."""
    return ExchangeClock(settings.exchange_url) if settings.venue == "embedded" else WallClock()


class Market(MarketData, Protocol):
    """The signal's market, whatever it is."""

    def time_ms(self) -> int:
        """Its clock, UTC ms. Raises Retry."""

    def close(self) -> None:
        """Give back the connections."""


def s3_access(settings: Settings) -> S3Access:
    """How a bucket with bars is reached: as the store's is."""
    return S3Access(settings.s3_region, settings.s3_endpoint_url, settings.timeout_s)


def make_market(
    settings: Settings, clock: Clock, progress: Progress | None = None, quota: Quota | None = None
) -> Market:
    """The signal's market: a keyless host, or a source of bars that the setting `data_url` names."""
    if settings.bar_source is not None:
        return SourceMarket(span_source(settings.bar_source, lambda: s3_access(settings)), clock)
    connection = VenueAddress(settings.market_url, timeout_s=settings.timeout_s)
    return BinanceKlines(
        connection, clock, progress, quota or make_quota(settings, settings.market_url, clock)
    )


def make_collector(
    settings: Settings,
    market: MarketData,
    *,
    keep: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Collector:
    """The signal's bars, with the file of collected ones behind it unless told otherwise. say: is told what a person should
    know of them."""
    file = ParquetBars(settings.bars) if keep else None
    embedded = settings.venue == "embedded"
    return Collector(
        market,
        settings.symbol,
        file,
        lambda gap: outage_of(gap) is not None,
        lambda: market_served(settings.exchange_url, settings.timeout_s) if embedded else "",
        say,
        RevisionsFile(settings.bars) if keep else None,
        WallClock().now_ms,
    )


def make_exchange(settings: Settings, clock: Clock, quota: Quota | None = None) -> BinanceSpot:
    """The account at the venue."""
    key, secret = settings.keys
    return BinanceSpot(VenueAddress(settings.exchange_url, key, secret, settings.timeout_s), clock, quota)


@contextmanager
def open_bot(
    settings: Settings,
    clock: Clock | None = None,
    *,
    durable: bool = True,
    keep_bars: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Bot]:
    """A bot and everything it reaches the world through; its connections are given back at the end.

    A rehearsal need not wait for the disk (`durable`): its journal can be made again; nor keep bars in a file.
    Raises WrongStore where the store is another symbol's; other trouble of the store is told to whoever asks it next.
    """
    journal = Journal(make_store(settings, durable=durable), settings.symbol)
    try:
        journal.require_own()
    except WrongStore:
        raise
    except TraderError:
        pass
    clock = clock or make_clock(settings)
    exchange, market = _connected(settings, clock, make_quota(settings, settings.exchange_url, clock))
    try:
        collector = make_collector(settings, market, keep=keep_bars, say=say)
        yield _bot(settings, journal, exchange, collector, clock)
    finally:
        exchange.close()
        market.close()


@contextmanager
def open_book(
    settings: Settings,
    params: BookParams,
    clock: Clock | None = None,
    *,
    lanes: int = 1,
    durable: bool = True,
    keep_bars: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Book]:
    """A book and a bot for each of its symbols; its connections are given back at the end. lanes: connections to the venue, each
    of which serves its symbols one after the other. Raises WrongStore where the store is not this book's."""
    store, clock = make_store(settings, durable=durable), clock or make_clock(settings)
    quota = make_quota(settings, settings.exchange_url, clock)
    laned = [params.symbols[i::lanes] for i in range(min(lanes, len(params.symbols)))]
    sleeves: dict[str, Bot] = {}
    with ExitStack() as open_connections:
        for lane in laned:
            exchange, market = _connected(settings, clock, quota)
            open_connections.callback(exchange.close)
            open_connections.callback(market.close)
            for symbol in lane:
                journal = Journal(store, symbol, params.symbols)
                journal.require_own()
                own = settings.model_copy(update={"symbol": symbol})
                collector = make_collector(own, market, keep=keep_bars, say=say)
                sleeves[symbol] = _bot(own, journal, exchange, collector, clock)
        words = BookJournal(Journal(store, BOOK, params.symbols))
        words.journal.require_own()  # now: what is changed after this process began is seen by it
        freeze = settings.halt_policy == "freeze"
        yield Book(params, words, dict(sorted(sleeves.items())), laned, freeze)


def _connected(settings: Settings, clock: Clock, quota: Quota) -> tuple[BinanceSpot, Market]:
    """The account and the market. quota: of the venue's host, where a ban meets whoever asks it; of the market too, where that is
    the same host."""
    shared = quota if settings.market_url == settings.exchange_url else None
    return make_exchange(settings, clock, quota), make_market(settings, clock, quota=shared)


def _bot(
    settings: Settings, journal: Journal, exchange: BinanceSpot, collector: Collector, clock: Clock
) -> Bot:
    return Bot(
        name=settings.bot,
        journal=journal,
        exchange=exchange,
        collector=collector,
        forecaster_of=forecaster_of,
        clock=clock,
        version=version("hourly-trader"),
        freeze_on_halt=settings.halt_policy == "freeze",
        price_band=settings.band,
        wall=None if settings.venue == "embedded" else WallClock(),
        limits=OrderLimits(settings.largest_order_usdt, settings.exposure_limit, settings.orders_a_day),
    )


@contextmanager
def embedded_exchange(arguments: Sequence[str], params: Params, start: int) -> Iterator[dict[str, str]]:
    """An embedded exchange as a child process, its clock standing `gap` before `start`, with the costs and the
    allocation of `params`. Yields its ready line: url, api_key, api_secret."""
    costs = ["--fee-rate", plain(params.fee_rate), "--half-spread-bps", plain(params.half_spread_bps)]
    costs += [
        "--slippage-bps",
        plain(params.slippage_bps),
        "--balance",
        f"USDT={plain(params.allocation_usdt)}",
    ]
    if params.fee_discount is not None:
        # A unit of the asset costs one of quote, so its amounts are their values, and the stock outlasts any rehearsal.
        costs += ["--fee-asset", "BNB", "--fee-discount", plain(params.fee_discount)]
        costs += ["--balance", f"BNB={plain(MOST_USDT)}"]
    at = iso(start - params.gap_hours * HOUR_MS)
    command = [
        sys.executable,
        "-m",
        "trader.cli",
        "exchange",
        *arguments,
        *costs,
        "--at",
        at,
        "--port",
        "0",
        "--json",
    ]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this very program
    try:
        line = child.stdout.readline() if child.stdout else ""
        if not line.startswith("{"):
            raise Retry(f"the embedded exchange did not start (exit {child.poll()}); its message is above")
        yield json.loads(line)
    finally:
        child.terminate()
        child.wait(timeout=30)
        if child.stdout:
            child.stdout.close()
