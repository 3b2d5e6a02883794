"""A symbol is added to a pooled book, or removed from it: no model serves a symbol that its fit did not see, and a symbol that
the next fit would not see is refused before anything is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.book_crew import (
    HOUR,
    PARAMS,
    SYMBOLS,
    BegunBook,
    BookScene,
    a_book,
    book_exchange,
    settings_for,
)
from tests.support.crew import STATE, STORE
from tests.support.rig import quick_params
from trader import wiring
from trader.adapters.book_file import BookFile, read_book
from trader.adapters.clocks import SimClock
from trader.adapters.files import read_bars, write_bars
from trader.app.book_halts import release
from trader.app.book_replay import replay_book
from trader.app.book_tick import BookTicked, tick_book
from trader.app.codec_events import CHAMPION
from trader.app.halts import announce
from trader.app.journal import Journal
from trader.app.layout import BOOK, birth_of
from trader.app.retrain import champions, load_model
from trader.commands.book_training import retrain_book
from trader.commands.training import Search, TrainingRequest
from trader.core.errors import DataError, OtherSymbol
from trader.core.types import HOUR_MS

SOL, OTHERS = "SOLUSDT", ("BTCUSDT", "ETHUSDT")
FIRST = HOUR - 2 * HOUR_MS


@contextmanager
def pooled_scene(bars: Path, folder: Path, symbols: tuple[str, ...]) -> Iterator[BookScene]:
    """A pooled book of these symbols that has traded two hours before HOUR, at an exchange that trades three."""
    with book_exchange(bars, FIRST - HOUR_MS, folder / STATE) as served:
        with a_book(served.url, folder / STORE, symbols=symbols, pool=True) as book:
            clock = next(iter(book.sleeves.values())).clock
            assert isinstance(clock, SimClock)
            replay_book(book, clock, dict.fromkeys(symbols, PARAMS), FIRST, HOUR)
        scene = BookScene(served, folder / STORE)
        scene.move_to(HOUR)
        yield scene


def of_list(made: BookScene, symbol: str, symbols: tuple[str, ...]) -> Journal:
    """A journal of a book of these symbols."""
    return Journal(wiring.make_store(settings_for(made.url, made.store)), symbol, symbols)


def ticked(made: BookScene, hour: int, symbols: tuple[str, ...]) -> BookTicked:
    """One tick at an hour by a process that has just begun with these symbols."""
    made.move_to(hour)
    with a_book(made.url, made.store, symbols=symbols, pool=True) as book:
        return tick_book(book)


def book_of(folder: Path, symbols: tuple[str, ...]) -> BookFile:
    """A pooled book.toml of these symbols."""
    (folder / "P.json").write_text(json.dumps(quick_params(halt_cumulative_return=-0.05, step_days=30)))
    lines = [f"symbols = {json.dumps(symbols)}", "capital_usdt = 30_000", "rebalance_hours = 4"]
    (folder / "book.toml").write_text("\n".join([*lines, 'params = "P.json"', "pool = true"]))
    return read_book(folder / "book.toml")


def changed(made: BookScene, folder: Path, symbols: tuple[str, ...]) -> None:
    """What `trader retrain --reason` does with a book.toml of these symbols."""
    settings = settings_for(made.url, made.store).model_copy(
        update={"book": folder / "book.toml", "bars": folder / "collected", "trackers": "none"}
    )
    request = TrainingRequest(None, None, if_due=False, search=Search(0, 0, 1))
    retrain_book(settings, book_of(folder, symbols), request, "a test", write_off=False, as_json=True)


def test_an_added_symbol_is_served_by_a_model_that_saw_it(begun_book: BegunBook, tmp_path: Path) -> None:
    """The command fits all symbols again: the old model serves the others until the new one's first hour, and never the added
    one, which begins with the new model."""
    with pooled_scene(begun_book.bars, tmp_path, OTHERS) as made:
        changed(made, tmp_path, SYMBOLS)
        sol = of_list(made, SOL, SYMBOLS)
        old = champions(of_list(made, "BTCUSDT", SYMBOLS))[0].model_id
        with pytest.raises(
            OtherSymbol, match="was trained for BTCUSDT, ETHUSDT and serves no hour of SOLUSDT"
        ):
            load_model(sol, old)
        newest = [champions(of_list(made, it, SYMBOLS))[-1] for it in SYMBOLS]
        assert len({it.model_id for it in newest}) == 1
        assert newest[0].valid_from == HOUR + HOUR_MS
        assert load_model(sol, newest[0].model_id)[0].symbols == list(SYMBOLS)
        causes = {it: of_list(made, it, SYMBOLS).events(CHAMPION)[-1].content.cause for it in SYMBOLS}
        assert causes == {"BTCUSDT": "asked", "ETHUSDT": "asked", SOL: "first"}
        for hour, served in ((HOUR, old), (HOUR + HOUR_MS, newest[0].model_id)):
            done = ticked(made, hour, SYMBOLS)
            assert done.failed == {}
            decision = of_list(made, "BTCUSDT", SYMBOLS).decision(hour)
            assert decision is not None
            assert decision.model_id == served
        assert sol.decision(HOUR) is None
        added = sol.decision(HOUR + HOUR_MS)
        assert added is not None
        assert (added.model_id, added.p_up is not None) == (newest[0].model_id, True)


def test_a_symbol_that_is_too_young_is_refused(begun_book: BegunBook, tmp_path: Path) -> None:
    """Five hours old: nothing is changed, the book of before trades on, and the next training of the others goes well."""
    (tmp_path / "bars").mkdir()
    for symbol in SYMBOLS:
        bars = read_bars(begun_book.bars / f"{symbol}-1h.parquet", symbol)
        young = bars.span(HOUR - 5 * HOUR_MS, bars.last + HOUR_MS)
        write_bars(tmp_path / "bars" / f"{symbol}-1h.parquet", young if symbol == SOL else bars)
    with pooled_scene(tmp_path / "bars", tmp_path, OTHERS) as made:
        with pytest.raises(DataError, match=r"SOLUSDT: no hour between .* has a label and every feature"):
            changed(made, tmp_path, SYMBOLS)
        birth = birth_of(wiring.make_store(settings_for(made.url, made.store)), BOOK)
        assert birth is not None
        assert (birth.symbols, birth.changes) == (OTHERS, 0)
        assert ticked(made, HOUR, OTHERS).failed == {}
        changed(made, tmp_path, OTHERS)
        newest = [champions(of_list(made, it, OTHERS))[-1] for it in OTHERS]
        assert [it.valid_from for it in newest] == [HOUR + HOUR_MS] * 2


def test_the_model_of_a_removed_symbol_serves_the_others(begun_book: BegunBook, tmp_path: Path) -> None:
    """Halted, released and taken out of the list: the others trade the hour by the old model, then by one of their own rows."""
    with pooled_scene(begun_book.bars, tmp_path, SYMBOLS) as made:
        announce(of_list(made, SOL, SYMBOLS), HOUR, "person", freeze=False, by="person", message="renamed")
        ticked(made, HOUR, SYMBOLS)
        release(of_list(made, BOOK, SYMBOLS), of_list(made, SOL, SYMBOLS), HOUR, "renamed")
        ticked(made, HOUR + HOUR_MS, SYMBOLS)
        changed(made, tmp_path, OTHERS)
        for hour, symbols in ((HOUR + HOUR_MS, list(SYMBOLS)), (HOUR + 2 * HOUR_MS, list(OTHERS))):
            assert ticked(made, hour, OTHERS).failed == {}
            journal = of_list(made, "BTCUSDT", OTHERS)
            decision = journal.decision(hour)
            assert decision is not None
            assert load_model(journal, decision.model_id)[0].symbols == symbols
