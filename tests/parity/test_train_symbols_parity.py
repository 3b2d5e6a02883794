"""The first promise while a fit sees symbols that are late, ended or not listed: what a refit learns from, and when it serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.parity.test_replay_is_the_backtest import twins_of
from tests.support.bars_made import bars_made
from tests.support.global_family import known, params_text
from tests.support.pooled_book import FIRST, SYMBOLS, written_book
from tests.support.rig import command, quick_params
from tests.support.twins import Twins, told
from trader.adapters.files import write_bars
from trader.adapters.store_local import LocalStore
from trader.app.journal import Journal
from trader.app.retrain import champions, load_card
from trader.core.errors import ConfigError, DataError
from trader.core.types import HOUR_MS, Bars, parse_hour

START, HOURS = parse_hour("2021-02-03"), 29
REFIT = parse_hour("2021-02-04")
BTC = bars_made(900, 3, missing=(850, 851))
# Small trees on rows of all, refitted after a day; and a family of scope global that reads the series.
KINDS: dict[str, dict[str, Any]] = {
    "rows": quick_params(step_days=1, look_back_days=10),
    "series": params_text(step_days=1, look_back_days=10),
}


@pytest.fixture(autouse=True)
def _pooled(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "family").mkdir()
    with known(tmp_path / "family"):
        yield


def other(symbol: str, seed: int, *, missing: tuple[int, ...] = (), first: int = 0, stop: int = 900) -> Bars:
    """Hours of a symbol by the index of the hour that opens at 2021-01-01T00:00; the bar of index i closes an hour later."""
    return bars_made(900, seed, missing=missing, symbol=symbol, price=1_500.0).rows(first, stop)


def twins(kind: str, *others: Bars) -> Twins:
    """BTCUSDT, trained with other symbols."""
    params = {**KINDS[kind], "train_symbols": ["BTCUSDT", *(it.symbol for it in others)]}
    return replace(twins_of(BTC, "2021-02-03", HOURS, params), others=others)


NEEDED = BTC.row(REFIT - HOUR_MS)  # the newest bar that the refit's outcomes need
BEGUN = BTC.row(START - HOUR_MS)  # the same of the first training
SHUT = other("AUSDT", 4, missing=tuple(range(NEEDED, NEEDED + 30)))
SHUT_AT_FIRST = other("BUSDT", 5, missing=tuple(range(BEGUN - 2, BEGUN + 5)))
ENDED = other("CUSDT", 6, stop=NEEDED)
ENDED_BEFORE = other("DUSDT", 7, stop=NEEDED - 10 * 24)
YOUNG = other("EUSDT", 8, first=BEGUN - 150)
CASES = (SHUT, SHUT_AT_FIRST, ENDED, ENDED_BEFORE, YOUNG)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("others", [CASES, *(pytest.param((it,), marks=pytest.mark.long) for it in CASES)])
def test_a_refit_serves_from_its_hour_on_by_the_bars_that_there_are(
    tmp_path: Path, kind: str, others: tuple[Bars, ...]
) -> None:
    """Equal lines with symbols that have an outage of thirty hours from the hour of the refit on, an outage over the first
    training, bars that end an hour before the refit needs them, bars that end before the refit's window, bars that begin within
    the first. Both models serve from the calendar's hour on; what ended before the window is no part of the fit, by its card."""
    market = twins(kind, *others)
    backtest = market.backtest()
    assert market.replay(tmp_path / "store") == backtest
    assert told(backtest)["orders"] >= 1
    journal = Journal(LocalStore(tmp_path / "store"), "BTCUSDT")
    published = champions(journal)
    assert [it.valid_from for it in published] == [START, REFIT]
    seen = [set(load_card(journal, it.model_id).symbols) for it in published]
    every = {"BTCUSDT", *(it.symbol for it in others)}
    assert seen == [every, every - {ENDED_BEFORE.symbol}]


@pytest.mark.parametrize("kind", KINDS)
def test_a_symbol_that_is_not_listed_yet_is_refused_by_both(tmp_path: Path, kind: str) -> None:
    """By the backtest before anything is fitted, by the bot at its first training: the exchange knows no such symbol."""
    market = twins(kind, other("AUSDT", 4, first=BEGUN + 20))
    with pytest.raises(DataError, match="AUSDT: there are no bars up to 2021-02-02T23:00:00Z; leave it out"):
        market.backtest()
    with pytest.raises(ConfigError, match="Invalid symbol"):
        market.replay(tmp_path / "store")


@pytest.mark.parametrize("pool", [None, pytest.param(True, marks=pytest.mark.long)])
def test_a_book_refits_while_the_exchange_has_no_bar_of_a_symbol(tmp_path: Path, pool: bool | None) -> None:
    """An outage of one of three traded symbols over the first training and over the refit, with one model for all and with a
    model for each that learns from all: equal bytes of every file, and all models serve from the calendar's hours on."""
    written_book(tmp_path, pool=pool)
    seen = {} if pool else {"train_symbols": list(SYMBOLS)}
    (tmp_path / "P.json").write_text(json.dumps(quick_params(step_days=1, look_back_days=12, **seen)))
    refit = parse_hour(FIRST) + 36 * HOUR_MS
    over = [BTC.row(refit - HOUR_MS) - i * 24 for i in (0, 1)]
    missing = tuple(it + i for it in over for i in range(-1, 5))
    write_bars(
        tmp_path / "bars" / "BBUSDT-1h.parquet",
        bars_made(1_100, 2, symbol="BBUSDT", price=1_500.0, decimals=4, missing=missing),
    )
    write_bars(
        tmp_path / "bars" / "CCUSDT-1h.parquet", bars_made(1_100, 3, symbol="CCUSDT", price=20.0, decimals=4)
    )
    span = (
        "--book",
        "book.toml",
        "--bars",
        "bars",
        "--from",
        "2021-02-10T12:00Z",
        "--to",
        "2021-02-11T16:00Z",
    )
    command("backtest", "run", *span, "--out", "tested", cwd=tmp_path)
    command("trader", "replay", *span, "--out", "replayed", "--store", "kept", cwd=tmp_path)
    files = sorted(it.name for it in (tmp_path / "tested").iterdir())
    assert files == [*(f"{it}.jsonl" for it in SYMBOLS), "book.jsonl"]
    for name in files:
        assert (tmp_path / "tested" / name).read_bytes() == (tmp_path / "replayed" / name).read_bytes(), name
    store = LocalStore(tmp_path / "kept")
    for symbol in SYMBOLS:
        served = [it.valid_from for it in champions(Journal(store, symbol, SYMBOLS))]
        assert served == [refit - 24 * HOUR_MS, refit], symbol
