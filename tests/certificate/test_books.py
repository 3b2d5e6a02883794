"""A book: every symbol's model is examined, also one model that was fitted on the rows of all symbols."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.book_crew import CAPITAL, START, SYMBOLS, bars_of_book, book_exchange
from tests.support.rig import command, quick_params
from trader.core.types import HOUR_MS


@pytest.mark.parametrize("pooled", [False, True], ids=["a model a symbol", "one model for all"])
def test_a_book_is_examined_symbol_by_symbol(tmp_path: Path, pooled: bool) -> None:
    """Demanded by the training, made again by the verb for all symbols, and for one that is named."""
    bars_of_book(tmp_path)
    (tmp_path / "P.json").write_text(json.dumps(quick_params()))
    names = ", ".join(f'"{it}"' for it in SYMBOLS)
    lines = [
        f"symbols = [{names}]",
        f"capital_usdt = {CAPITAL}",
        'params = "P.json"',
        "pool = true" if pooled else "",
    ]
    (tmp_path / "book.toml").write_text("\n".join(lines))
    with book_exchange(tmp_path, START - HOUR_MS, None) as served:
        environment = {
            "TRADER_VENUE_URL": served.url,
            "TRADER_TRACKERS": "none",
            "TRADER_BARS": "collected",
            "TRADER_BOOK": "book.toml",
        }
        command("trader", "retrain", "--check", cwd=tmp_path, check=True, **environment)
        every = command("trader", "check", "--json", cwd=tmp_path, check=True, **environment)
        one = command(
            "trader", "check", "--symbol", SYMBOLS[1], "--json", cwd=tmp_path, check=True, **environment
        )
        wrong = command("trader", "check", "--symbol", "ADAUSDT", cwd=tmp_path, check=False, **environment)
    told = json.loads(every.stdout)
    assert sorted(told) == sorted(SYMBOLS)
    assert all(it["passed"] for it in told.values())
    assert len({it["model_id"] for it in told.values()}) == (1 if pooled else len(SYMBOLS))
    assert json.loads(one.stdout)["symbol"] == SYMBOLS[1]
    assert wrong.returncode == 2
    assert "ADAUSDT is no symbol of book.toml" in wrong.stderr
