"""`backtest run --book` as a person meets it: the files, the table, and each error before any work."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest.commands.book_inputs import given_book, least_allocation
from backtest.engine.book_outcome import correlation
from backtest.engine.walkforward import SymbolToWalk, walk_forward, walks_by_symbol
from backtest.evidence.ledger import EvidenceLedger, count, data_hash
from tests.support.bars_made import bars_made
from tests.support.global_family import known, pooled_params, three_symbols
from tests.support.quick_forecaster import QuickForecaster
from tests.support.rig import command, quick_params
from trader.adapters.files import read_bars, write_bars
from trader.core.costs import exact, quote_at
from trader.core.errors import ConfigError, DataError
from trader.core.hours import Rules
from trader.core.ledger import Ledger
from trader.core.params import params_of
from trader.core.sizing import NoOrder, SizedOrder, size
from trader.core.types import HOUR_MS, Filters, parse_hour
from trader.forecasters.registry import forecaster_of
from trader.terminal import WIDTH

SPAN = ("2021-02-10", "2021-02-14")
PRICES = {"AAUSDT": 40_000.0, "BBUSDT": 1_500.0, "CCUSDT": 20.0}
BOOK: dict[str, Any] = {
    "symbols": list(PRICES),
    "capital_usdt": 3_000,
    "shares": "inverse_volatility",
    "rebalance_hours": 24,
    "params": "P.json",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six weeks of bars of three symbols, one with an outage of its own, and parameters of small trees."""
    place = tmp_path_factory.mktemp("book")
    (place / "bars").mkdir()
    for seed, (symbol, price) in enumerate(PRICES.items()):
        missing = tuple(range(990, 996)) if symbol == "BBUSDT" else ()
        bars = bars_made(1_100, seed + 1, symbol=symbol, price=price, decimals=4, missing=missing)
        write_bars(place / "bars" / f"{symbol}-1h.parquet", bars)
    (place / "P.json").write_text(json.dumps(quick_params()))
    return place


@pytest.fixture(autouse=True)
def _fresh(folder: Path) -> Iterator[None]:
    """Files that a test has added are gone after it."""
    there = set(folder.iterdir())
    yield
    for path in set(folder.iterdir()) - there:
        if path.is_file():
            path.unlink()


def book_file(folder: Path, **changes: Any) -> Path:
    """A book.toml of BOOK; a change of None leaves the key out."""
    values = {name: value for name, value in {**BOOK, **changes}.items() if value is not None}
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if name not in tables]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path = folder / "book.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def run_words(*more: str) -> tuple[str, ...]:
    """The command over SPAN."""
    return ("run", "--book", "book.toml", "--bars", "bars", "--from", SPAN[0], "--to", SPAN[1], *more)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """A file of JSON Lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_book_is_run_from_the_command_line(folder: Path) -> None:
    """A file of hours for each symbol and one for the book, whose equity is the sum of theirs and the cash that none has; figures
    of the whole and a row a symbol within 80 columns; a look is counted at every symbol's hours."""
    book_file(folder)
    done = command("backtest", *run_words("--out", "out"), cwd=folder)
    assert max(map(len, done.stdout.splitlines())) <= WIDTH
    for text in ("net return, compounded", "transfers of cash", "mean share", *PRICES):
        assert text in done.stdout
    lines = rows_of(folder / "out" / "book.jsonl")
    hours = {symbol: rows_of(folder / "out" / f"{symbol}.jsonl") for symbol in PRICES}
    assert [len(it) for it in (lines, *hours.values())] == [96] * 4
    given = {symbol: Decimal(0) for symbol in PRICES}
    reserve = Decimal(BOOK["capital_usdt"])
    for i, line in enumerate(lines):
        reserve -= sum(map(Decimal, line["transfers"].values()), Decimal(0))
        for symbol, amount in line["transfers"].items():
            given[symbol] += Decimal(amount)
        together = sum((Decimal(it[i]["equity"]) for it in hours.values()), reserve)
        assert Decimal(line["equity"]) == together
    assert all(given.values())
    assert any(Decimal(it) < 0 for line in lines for it in line["transfers"].values())
    for symbol in PRICES:
        bars = read_bars(folder / "bars" / f"{symbol}-1h.parquet", symbol)
        counted = count(EvidenceLedger(folder / "evidence", data_hash(bars)).entries(), 0, 2**62)
        assert (counted.looks, counted.configurations) == (1, 1)


def test_a_book_of_one_is_a_run_of_that_symbol(folder: Path) -> None:
    """The same bytes as `backtest run` with the book's capital as its allocation, and no other file."""
    book_file(folder, symbols=["AAUSDT"])
    command("backtest", *run_words("--out", "one", "--json"), cwd=folder)
    assert [it.name for it in (folder / "one").iterdir()] == ["AAUSDT.jsonl"]
    (folder / "Q.json").write_text(json.dumps(quick_params(allocation_usdt=3_000)))
    alone = ("--bars", "bars/AAUSDT-1h.parquet", "--params", "Q.json", "--from", SPAN[0], "--to", SPAN[1])
    command("backtest", "run", *alone, "--hours-out", "alone.jsonl", "--json", cwd=folder)
    assert (folder / "one" / "AAUSDT.jsonl").read_bytes() == (folder / "alone.jsonl").read_bytes()


def test_a_book_has_a_page(folder: Path) -> None:
    """One file without a script that asks for nothing, its figures beside it: the gains of all symbols are the book's, a curve by
    day ends with the final equity, and the page names every symbol."""
    book_file(folder)
    words = ("--book", "book.toml", "--bars", "bars", "--from", "2021-02-12", "--to", SPAN[1])
    done = command("backtest", "report", *words, "--out", "page.html", cwd=folder)
    assert max(map(len, done.stdout.splitlines())) <= WIDTH
    told = json.loads((folder / "page.json").read_text())
    summary = told["summary"]
    gained = sum(Decimal(it["contribution_usdt"]) for it in summary["symbols"].values())
    assert gained == Decimal(summary["final_equity_usdt"]) - Decimal(summary["capital_usdt"])
    assert told["curve"]["day"] == ["2021-02-12", "2021-02-13"]
    assert told["curve"]["equity"][-1] == float(summary["final_equity_usdt"])
    evidence = told["evidence"]
    assert [it["name"] for it in evidence["stress"]] == [
        "costs x 1",
        "costs x 2",
        "costs x 3",
        "one bar late",
    ]
    assert evidence["strategy"]["net_return"] == pytest.approx(summary["net_return"])
    assert len(evidence["seeds"]["net_returns"]) == 10
    assert all(
        it["regret"]["rebalances"] == 2 and it["capacity"]["fills"] for it in summary["symbols"].values()
    )
    assert told["survivorship"][0].startswith("All 3 symbols have bars to the last hour.")
    page = (folder / "page.html").read_text()
    assert evidence["verdict"].split(";")[0][:40] in page
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!data:,|#)', page)
    assert all(page.count(symbol) > 3 for symbol in PRICES)
    one = book_file(folder, symbols=["AAUSDT"])
    refused = command("backtest", "report", *words, "--out", "page.html", cwd=folder, check=False)
    assert refused.returncode == 2
    assert f"{one.name} holds one symbol, AAUSDT" in refused.stderr


def write_params(folder: Path, name: str, **changes: Any) -> str:
    """A further P.json."""
    (folder / name).write_text(json.dumps(quick_params(**changes)))
    return name


ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"symbols": ["AAUSDT", "DDUSDT"]}, r"no bars of DDUSDT .*trader collect --symbols DDUSDT"),
    ({"symbols": ["AAUSDT", "BBEUR"]}, r"quoted in one asset; these are not: AAUSDT in USDT, BBEUR in EUR"),
    ({"params": "none.json"}, r"none.json cannot be read"),
    (
        {"capital_usdt": 15},
        r"AAUSDT: its share of 0\.\d+ is [\d.]+ USDT at .* needs 5\.\d+\. Raise capital_usdt \(15\)",
    ),
    (
        {"share_hours": 2_000},
        r"AAUSDT: its share is computed from the 2,001 bars up to .*begin the book later",
    ),
    ({"sharing": "equal"}, r"book.toml: unknown key 'sharing'"),
    (
        {"params_by_symbol": {"BBUSDT": "fee.json"}},
        r"fee_rate is 0.001 for AAUSDT and 0.0005 for BBUSDT; all symbols of a book are traded on one account",
    ),
    (
        {"params_by_symbol": {"BBUSDT": "bnb.json"}},
        r"fee_discount is null for AAUSDT and 0.25 for BBUSDT",
    ),
    (
        {"params_by_symbol": {"BBUSDT": "short.json"}},
        r"BBUSDT: exposure is 'long_short' in short.json, and a book trades long_flat only",
    ),
    ({"params": "long.json"}, r"look_back 100 d \+ gap 1 h needs 2,401 bars"),
]


@pytest.mark.parametrize(("changes", "says"), ERRORS)
def test_what_cannot_be_traded_is_said_before_any_work(
    folder: Path, changes: dict[str, Any], says: str
) -> None:
    """With the symbol, the numbers and the way out."""
    write_params(folder, "fee.json", fee_rate=0.0005)
    write_params(folder, "bnb.json", fee_discount=0.25)
    write_params(folder, "short.json", exposure="long_short")
    write_params(folder, "long.json", look_back_days=100)
    path = book_file(folder, **changes)
    with pytest.raises((ConfigError, DataError), match=says):
        given_book(path, [folder / "bars"], *SPAN)


def test_filters_of_every_symbol_come_from_one_file(folder: Path) -> None:
    """Rows of exchangeInfo, as the embedded exchange takes them; a symbol without a row is named."""
    rows = [
        {
            "symbol": symbol,
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "9000"},
                {"filterType": "NOTIONAL", "minNotional": str(7 + i)},
            ],
        }
        for i, symbol in enumerate(PRICES)
    ]
    (folder / "rows.json").write_text(json.dumps({"symbols": rows}))
    given = given_book(book_file(folder), [folder / "bars"], *SPAN, folder / "rows.json")
    assert [it.rules.filters.min_notional for it in given.symbols] == [7, 8, 9]
    (folder / "rows.json").write_text(json.dumps(rows[:2]))
    with pytest.raises(ConfigError, match="has no row of CCUSDT, only of AAUSDT, BBUSDT"):
        given_book(book_file(folder), [folder / "bars"], *SPAN, folder / "rows.json")


def test_options_of_one_symbol_are_refused_with_a_book(folder: Path) -> None:
    """Exit code 2, and the option is named."""
    book_file(folder)
    done = command("backtest", *run_words("--params", "P.json"), cwd=folder, check=False)
    assert done.returncode == 2
    assert "--params is an option of one symbol, and --book trades those of book.toml" in done.stderr


def test_the_least_allocation_buys_the_smallest_order() -> None:
    """A cent less, and the order is dust."""
    for close in (40_123.45, 1_500.5, 20.0, 0.00031):
        rules = Rules(params_of(quick_params(), "a test"), Filters.derived(close))
        least = least_allocation(rules, close)
        quote = quote_at(exact(close), rules.sizing.costs, rules.filters.tick_size)
        told = [
            size("long", "flat", Ledger(cash), exact(close), quote, rules.sizing)
            for cash in (least, least - Decimal("0.01"))
        ]
        assert isinstance(told[0], SizedOrder), close
        assert isinstance(told[1], NoOrder), close


def test_every_symbol_is_walked_as_alone(tmp_path: Path) -> None:
    """All windows are tasks of one executor; the P(up) of each symbol is that of its own walk, by its own family and others."""
    btc, eth, sol = three_symbols()
    start, stop = btc.first + 800 * HOUR_MS, btc.first + 910 * HOUR_MS
    quick = params_of(quick_params(look_back_days=10, step_days=2), "a test")
    with known(tmp_path):
        pooled = forecaster_of("pooled")
        asked = [
            SymbolToWalk(pooled, btc, pooled_params(), start, stop, "made", (eth, sol)),
            SymbolToWalk(QuickForecaster(), eth, quick, start, stop - 30 * HOUR_MS, "made"),
        ]
        for it, walk in zip(asked, walks_by_symbol(asked), strict=True):
            alone = walk_forward(
                it.forecaster, it.bars, it.params, it.start, it.stop, source="made", others=it.others
            )
            assert walk.tobytes() == alone.tobytes()


def test_a_symbol_whose_bars_end_is_traded_until_then(folder: Path) -> None:
    """Its exchange is closed afterwards: hours of `venue_closed`, no order, no transfer, its last equity in the book's; the table
    says when its bars end."""
    whole = read_bars(folder / "bars" / "CCUSDT-1h.parquet", "CCUSDT")
    (folder / "ended").mkdir(exist_ok=True)
    for symbol in ("AAUSDT", "BBUSDT"):
        (folder / "ended" / f"{symbol}-1h.parquet").write_bytes(
            (folder / "bars" / f"{symbol}-1h.parquet").read_bytes()
        )
    write_bars(folder / "ended" / "CCUSDT-1h.parquet", whole.until(parse_hour("2021-02-11T12:00Z")))
    book_file(folder)
    words = (
        "run",
        "--book",
        "book.toml",
        "--bars",
        "ended",
        "--from",
        SPAN[0],
        "--to",
        SPAN[1],
        "--out",
        "gone",
    )
    done = command("backtest", *words, cwd=folder)
    assert "CCUSDT end at 2021-02-11T12:00Z" in " ".join(done.stdout.split())
    rows = rows_of(folder / "gone" / "CCUSDT.jsonl")
    last = next(i for i, row in enumerate(rows) if row["close_time"] == "2021-02-11T12:00:00Z")
    assert {row["reason"] for row in rows[last:]} == {"venue_closed"}
    assert len({row["equity"] for row in rows[last:]}) == 1
    assert any(row["order_side"] for row in rows[:last])
    lines = rows_of(folder / "gone" / "book.jsonl")
    assert not any("CCUSDT" in line["transfers"] for line in lines[last + 1 :])


def test_correlation_is_none_where_nothing_moves() -> None:
    """And numpy's otherwise."""
    a, b = np.random.default_rng(1).normal(size=(2, 50))
    assert correlation(a, b) == pytest.approx(float(np.corrcoef(a, b)[0, 1]))
    assert correlation(a, np.full(50, 0.0)) is None
