"""Limits of a whole book hold back the same purchases in a backtest and in a replay through HTTP: equal bytes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.support.rig import command, quick_params
from tests.support.rig_bars import made_bars

SYMBOLS = {"BTCUSDT": 48_000.0, "ETHUSDT": 1_800.0, "SOLUSDT": 20.0}
BOOK = """
symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
capital_usdt = 3000
rebalance_hours = 7
params = "P.json"
largest_exposure = 0.5
largest_order_usdt = 450
orders_a_day = 20
"""


def test_a_book_with_limits_is_replayed_to_the_bytes_of_its_backtest(tmp_path: Path) -> None:
    """A day and more with outages and rebalances: every file is equal, and each limit held back or cut some purchase."""
    (tmp_path / "bars").mkdir()
    for seed, (symbol, price) in enumerate(SYMBOLS.items(), start=1):
        made_bars(tmp_path / "bars", "2021-02-01", "2021-03-20", symbol, price, seed)
    (tmp_path / "P.json").write_text(json.dumps(quick_params(look_back_days=10)))
    (tmp_path / "book.toml").write_text(BOOK)
    span = ("--book", "book.toml", "--bars", "bars", "--from", "2021-03-05T12:00", "--to", "2021-03-06T16:00")
    command("backtest", "run", *span, "--out", "tested", cwd=tmp_path)
    command("trader", "replay", *span, "--out", "replayed", cwd=tmp_path)
    files = sorted(it.name for it in (tmp_path / "tested").glob("*.jsonl"))
    assert files == ["BTCUSDT.jsonl", "ETHUSDT.jsonl", "SOLUSDT.jsonl", "book.jsonl"]
    for name in files:
        assert (tmp_path / "tested" / name).read_bytes() == (tmp_path / "replayed" / name).read_bytes(), name
    texts = [(tmp_path / "tested" / f"{it}.jsonl").read_text() for it in SYMBOLS]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    reasons = Counter(line["reason"] for line in lines)
    assert reasons["book_limit"] > 0
    assert reasons["complete"] > 0
    exposures = [
        json.loads(it)["exposure"] for it in (tmp_path / "tested/book.jsonl").read_text().splitlines()
    ]
    assert 0.3 < max(map(float, exposures)) < 0.55
