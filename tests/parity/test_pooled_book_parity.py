"""The first promise for a book whose symbols share one model."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.pooled_book import SYMBOLS, written_book
from tests.support.rig import command
from trader.adapters.store_local import LocalStore
from trader.app.explain import explain
from trader.app.journal import Journal
from trader.app.retrain import champions, load_card
from trader.core.types import parse_hour
from trader.forecasters.registry import forecaster_of

# Half a day before the outage of one symbol, a day before the refit.
BEGIN = "2021-02-10T12:00Z"


def test_replay_writes_the_files_of_the_backtest(tmp_path: Path) -> None:
    """Over an outage and a refit, with a symbol that was listed within the first training: equal bytes of every file; each fit
    publishes one model that names all symbols, and all of them are told of it."""
    written_book(tmp_path)
    words = ("--book", "book.toml", "--bars", "bars", "--from", BEGIN, "--to", "2021-02-11T14:00Z", "--json")
    command("backtest", "run", *words, "--out", "backtest", cwd=tmp_path)
    command("trader", "replay", *words, "--out", "replay", "--store", "kept", cwd=tmp_path)
    files = sorted(it.name for it in (tmp_path / "backtest").iterdir())
    assert files == [*(f"{it}.jsonl" for it in SYMBOLS), "book.jsonl"]
    for name in files:
        assert (tmp_path / "backtest" / name).read_bytes() == (tmp_path / "replay" / name).read_bytes(), name
    rows = [json.loads(it) for it in (tmp_path / "backtest" / "CCUSDT.jsonl").read_text().splitlines()]
    assert sum(row["order_side"] is not None for row in rows) > 2
    store = LocalStore(tmp_path / "kept")
    told = [[it.model_id for it in champions(Journal(store, symbol, SYMBOLS))] for symbol in SYMBOLS]
    assert told[0] == told[1] == told[2]
    assert len(told[0]) == len(store.list("models/", limit=100)) / 2 == 2
    young = Journal(store, "CCUSDT", SYMBOLS)
    told_hour = explain(young, forecaster_of, parse_hour(BEGIN))
    assert set(told_hour["contributions"]) == {*(it["name"] for it in told_hour["features"]), "symbol"}
    assert all(it["low"] <= it["value"] <= it["high"] or it["outside"] for it in told_hour["features"])
    card = load_card(Journal(store, "BBUSDT", SYMBOLS), told[0][0])
    assert card.symbols == list(SYMBOLS)
    assert set(card.ranges_by_symbol) == set(SYMBOLS)
