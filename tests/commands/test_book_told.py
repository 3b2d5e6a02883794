"""What a person sees of a book: the demo, the journal, the screens, the page, the metrics."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.rig import command
from tests.support.screens import unwrapped
from trader import wiring
from trader.adapters.book_file import BookFile, read_book
from trader.app.book_tick import BookTicked
from trader.app.journal import Journal
from trader.app.layout import BOOK
from trader.app.tick import Ticked
from trader.config import Settings, load_settings
from trader.core.types import parse_hour
from trader.observers import book_pages
from trader.observers.book_metrics import BookMetrics
from trader.terminal import WIDTH

NAMED = ("--book", "demo/book.toml", "--store", "demo/store")


@pytest.fixture
def copied(demo_book: Path, tmp_path: Path) -> Path:
    """A copy of the demo that a test may write to."""
    shutil.copytree(demo_book / "demo", tmp_path / "demo")
    return tmp_path


def settings_and_book(folder: Path) -> tuple[Settings, BookFile]:
    """What looks at the demo in a folder."""
    book = read_book(folder / "demo/book.toml")
    store = str(folder / "demo/store")
    return load_settings(store=store, book=book.path, bars=folder / "demo/bars", trackers="none"), book


def told(folder: Path, *words: str, code: int = 0) -> str:
    """The answer of a verb about the demo's book."""
    done = command("trader", *words, *NAMED, cwd=folder, check=False, TRADER_TRACKERS="none")
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """The book's own hours."""
    return [json.loads(line) for line in told(folder, "journal", "--jsonl").splitlines()]


def test_the_demo_trades_moves_cash_and_leaves_what_it_names(demo_book: Path) -> None:
    """Three days of both symbols with a move of cash a day, the market named, a page, and commands that run as typed."""
    summary = json.loads((demo_book / "summary.json").read_text())
    assert summary["market"] == "made"
    assert (summary["hours"], summary["transfers"]) == (72, 6)
    assert all(it["orders"] > 0 for it in summary["symbols"].values())
    assert (demo_book / "demo/page/index.html").exists()
    assert json.loads((demo_book / "demo/summary.json").read_text()) == summary
    again = command(
        "trader", "demo", "--book", "--bars", "made", "--folder", "made", cwd=demo_book, check=False
    )
    assert again.returncode == 2
    assert "not an earlier demo's folder" in again.stderr


def test_the_journal_of_a_book_is_the_backtests_file(demo_book: Path) -> None:
    """Its hours as JSON Lines are the bytes that a backtest of the same book writes."""
    hours = lines_of(demo_book)
    first, last = hours[0]["close_time"], "2021-06-25"
    span = ("--bars", "made", "--from", first, "--to", last, "--out", "back")
    command("backtest", "run", "--book", "demo/book.toml", *span, cwd=demo_book)
    assert told(demo_book, "journal", "--jsonl") == (demo_book / "back/book.jsonl").read_text()
    part = told(
        demo_book, "journal", "--jsonl", "--from", hours[5]["close_time"], "--to", hours[7]["close_time"]
    )
    assert [json.loads(line) for line in part.splitlines()] == hours[5:7]


@pytest.mark.parametrize("verb", ["journal", "status", "explain", "doctor", "health"])
def test_every_screen_of_a_book_fits(demo_book: Path, verb: str) -> None:
    """Within eighty columns, whatever the screen says."""
    words = ("--symbol", "BTCUSDT", "--store", "demo/store") if verb == "explain" else NAMED
    done = command("trader", verb, *words, cwd=demo_book, check=False, TRADER_TRACKERS="none")
    assert done.stdout or verb == "health"
    assert [line for line in done.stdout.splitlines() if len(line) > WIDTH and "/" not in line] == []


def test_the_tables_of_a_book_say_its_lines(demo_book: Path) -> None:
    """CSV and Parquet: a row an hour, amounts exact, a column a symbol for its cash, empty where none moved."""
    hours = lines_of(demo_book)
    rows = list(
        csv.DictReader(io.StringIO(told(demo_book, "journal", "--csv", "--parquet", "hours.parquet")))
    )
    table = pq.read_table(demo_book / "hours.parquet").to_pylist()
    assert len(rows) == len(table) == len(hours) == 72
    for row, seen, line in zip(rows, table, hours, strict=True):
        moved = line.pop("transfers")
        assert {key: str(value).lower() for key, value in line.items() if key == "halted"} == {
            "halted": row["halted"].lower()
        }
        assert {key: row[key] for key in line if key != "halted"} == {
            key: value for key, value in line.items() if key != "halted"
        }
        for symbol in ("BTCUSDT", "ETHUSDT"):
            assert row[f"transfer_{symbol}"] == moved.get(symbol, "")
            amount = seen[f"transfer_{symbol}"]
            assert amount == (Decimal(moved[symbol]) if symbol in moved else None)
        assert (seen["equity"], seen["exposure"]) == (Decimal(line["equity"]), Decimal(line["exposure"]))
    assert any(row["transfer_BTCUSDT"] for row in rows)


def test_an_explained_hour_says_what_the_book_did(demo_book: Path) -> None:
    """The transfer of a rebalance hour and the share it follows; the amount is the line's."""
    first = lines_of(demo_book)[0]
    words = ("explain", first["close_time"], "--symbol", "ETHUSDT", "--store", "demo/store")
    found = json.loads(command("trader", *words, "--json", cwd=demo_book).stdout)["book"]
    assert found["transfer"] == first["transfers"]["ETHUSDT"]
    assert (found["known"], found["reason"], found["halted"]) == (True, "rebalance", False)
    shown = unwrapped(command("trader", *words, cwd=demo_book).stdout)
    assert f"rebalance: {float(found['transfer']):,.2f} USDT came by a share of" in shown


def test_health_and_doctor_name_the_symbols(demo_book: Path) -> None:
    """Without an exchange, months later: no symbol closed an hour, and the doctor says once what is missing."""
    done = command("trader", "health", *NAMED, cwd=demo_book, check=False)
    assert done.returncode == 3
    assert "0 of 2 symbols closed an hour in the last 75 minutes; not BTCUSDT, ETHUSDT" in done.stderr
    found = json.loads(told(demo_book, "doctor", "--json", code=2))
    assert [it["check"] for it in found if it["verdict"] == "fail"] == ["exchange"]
    assert "2 symbols: not halted alone" in [it["said"] for it in found]


def test_the_page_of_a_book_tells_the_lines(demo_book: Path) -> None:
    """Equity, drawdown, exposure and moves of cash of its figures are those of the book's hours; each symbol has a row and a
    page of its own with a way back."""
    page = (demo_book / "demo/page/index.html").read_text()
    figures = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.S)
    assert figures
    drawn = {it["id"]: it for it in json.loads(figures.group(1))}
    traces = {trace["name"]: trace for it in drawn.values() for trace in it["data"] if "name" in trace}
    hours = lines_of(demo_book)
    assert traces["equity"]["y"] == pytest.approx([float(it["equity"]) for it in hours], abs=0.02)
    assert traces["held"]["y"] == pytest.approx([float(it["exposure"]) for it in hours], abs=1e-4)
    assert traces["drawdown"]["y"] == pytest.approx([-float(it["drawdown"]) for it in hours], abs=2e-5)
    moved = [it for it in hours if it["transfers"]]
    assert traces["cash moved"]["x"] == [parse_hour(it["close_time"]) for it in moved]
    assert sum(traces["share"]["x"]) == pytest.approx(1, abs=0.001)
    assert page.count("rebalance</strong>") == len(moved)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        assert f'href="{symbol}.html"' in page
        own = (demo_book / f"demo/page/{symbol}.html").read_text()
        assert 'href="index.html">the whole book' in own
        assert "chain-linked over the book&#39;s transfers" in own


def test_a_symbols_results_are_without_the_transfers(demo_book: Path) -> None:
    """Its status counts from the first transfer and not from the book's whole capital, and says what the summary says."""
    summary = json.loads((demo_book / "summary.json").read_text())["symbols"]
    for symbol in ("BTCUSDT", "ETHUSDT"):
        words = ("status", "--symbol", symbol, "--store", "demo/store", "--json")
        results = json.loads(command("trader", *words, cwd=demo_book).stdout)["results"]
        assert results["net_return"] == pytest.approx(summary[symbol]["net_return"], abs=1e-9)
        assert abs(results["buy_and_hold"]) < 0.5


def test_a_halted_book_says_what_to_do(copied: Path) -> None:
    """On the page and in the journal; a public page keeps amounts to itself; planted markup stays text."""
    told(copied, "halt", "--reason", "<b>look")
    settings, book = settings_and_book(copied)
    page = book_pages.write_pages(settings, book, copied / "page").read_text()
    assert '<span class="badge bad">halted</span>' in page
    assert "trader resume --book book.toml" in page
    assert "&lt;b&gt;look" in page
    assert "<b>look" not in page
    assert "equity, USDT" in page
    public = book_pages.write_pages(settings, book, copied / "public", public=True).read_text()
    assert "equity, USDT" not in public
    assert "index, 100 at the start" in public
    assert "halt: person, by person: <b>look" in told(copied, "journal")


def test_an_hour_that_waits_for_a_symbol_is_told_as_that(copied: Path) -> None:
    """The journal ends before it and names the symbol; the page is of the hours before."""
    whole = lines_of(copied)
    last = parse_hour(whole[-1]["close_time"])
    folder = copied / "demo/store/journal/ETHUSDT/2021/06" / whole[-1]["close_time"][8:13]
    assert folder.is_dir()
    (folder / "record").unlink()
    assert lines_of(copied) == whole[:-1]
    assert "waits for ETHUSDT" in unwrapped(told(copied, "journal"))
    settings, book = settings_and_book(copied)
    shutil.rmtree(copied / "demo/store/pages")
    words, journals = book_pages.journals_of(settings, book)
    assert book_pages.book_series_of(words, journals, last)["until"] == last
    text = book_pages.write_book_page(settings, book, copied / "page").read_text()
    assert whole[-2]["close_time"][:16].replace("T", " ") in text


def test_the_pages_cache_is_made_anew_where_it_is_damaged(copied: Path) -> None:
    """The words of the book are the truth."""
    settings, book = settings_and_book(copied)
    words, journals = book_pages.journals_of(settings, book)
    until = parse_hour(lines_of(copied)[-1]["close_time"])
    words.journal.store.put(book_pages.SERIES_KEY, b"{")
    whole = book_pages.book_series_of(words, journals, until)
    assert len(whole["hours"]) == 72
    assert book_pages.book_series_of(words, journals, until) == json.loads(json.dumps(whole))


def test_metrics_of_a_book_are_its_line_and_its_symbols_records(demo_book: Path) -> None:
    """Read by Prometheus's own parser: every gauge with a symbol, and the book's own; ready while hours are recent."""
    pytest.importorskip("prometheus_client")
    from prometheus_client import generate_latest

    settings, file = settings_and_book(demo_book)
    line = lines_of(demo_book)[-1]
    hour = parse_hour(line["close_time"])
    with wiring.open_book(settings, file.params) as book:
        metrics = BookMetrics(book)
        assert not metrics.ready[0]
        done = {it: Ticked("traded", hour, [], "") for it in book.sleeves}
        metrics.tell(BookTicked("traded", hour, done, {}, book.hours.hour(hour), ""))
        text = generate_latest(metrics.registry).decode()
        assert metrics.ready == (
            False,
            f"BTCUSDT: the newest closed hour is {line['close_time']} (and 1 more)",
        )
    seen = {
        (sample.name, sample.labels.get("symbol", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    for name in ("equity", "cash"):
        assert seen[f"trader_book_{name}_usdt", ""] == pytest.approx(float(line[name]))
    assert seen["trader_book_exposure_ratio", ""] == pytest.approx(float(line["exposure"]))
    assert seen["trader_book_drawdown_ratio", ""] == pytest.approx(float(line["drawdown"]))
    assert (seen["trader_book_halted", ""], seen["trader_book_late_symbols", ""]) == (0, 0)
    sleeves = sum(Decimal(seen["trader_equity_usdt", it]) for it in file.params.symbols)
    assert float(sleeves) + seen["trader_book_reserve_usdt", ""] == pytest.approx(float(line["equity"]))
    assert seen["trader_ticks_total", "ETHUSDT"] == 1
    assert Journal(wiring.make_store(settings), BOOK, file.params.symbols).in_book


def test_the_observer_writes_the_pages_of_a_book(copied: Path) -> None:
    """`trader observe` with a folder for pages: one of each symbol, and the book's once they are written."""
    done = command(
        "trader", "observe", *NAMED, cwd=copied, TRADER_TRACKERS="none", TRADER_PAGE_DIR="observed"
    )
    assert done.stdout.count("page: 48 hours") + done.stdout.count("page: 72 hours") == 2
    written = {it.name for it in (copied / "observed").iterdir()}
    assert written == {"index.html", "BTCUSDT.html", "ETHUSDT.html", "plotly.min.js"}
    assert "Book of 2 symbols" in (copied / "observed/index.html").read_text()
