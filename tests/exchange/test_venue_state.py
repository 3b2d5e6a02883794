"""What survives: a killed exchange comes back with the same ledger, balances, open orders and time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.venue_kit import AT, BOOK, SYMBOL, Sim, config, running
from trader.core.errors import DataError
from trader.core.types import HOUR_MS
from trader.exchange.venue import Venue

REST = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "20000"}


def picture(sim: Sim) -> tuple[object, ...]:
    """Everything an outsider can see of the past."""
    orders = sim.signed("GET", "allOrders", symbol=SYMBOL).json
    trades = sim.signed("GET", "myTrades", symbol=SYMBOL).json
    return sim.sim("ledger?all=true"), sim.sim("balances"), orders, trades, sim.now()


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    """Orders of every kind, cancels, fills by time, a reset and the clock are all there after a restart."""
    path = tmp_path / "deep" / "state.jsonl"
    with running(state_path=path) as sim:
        sim.buy("0.1", client_id="first")
        sim.sim("faults", {"scenario": "testnet_reset"})
        sim.buy("0.1", client_id="second")
        sim.order(**REST, newClientOrderId="cancelled")
        sim.signed("DELETE", "order", symbol=SYMBOL, origClientOrderId="cancelled")
        near = sim.instrument.market.quote(AT).ask + 50
        sim.order(**{**REST, "side": "SELL", "price": str(near)}, newClientOrderId="filled")
        sim.order(**REST, newClientOrderId="open")
        sim.to(AT + 250 * HOUR_MS)
        before = picture(sim)
    assert path.stat().st_mode & 0o077 == 0
    with running(state_path=path) as sim:
        assert picture(sim) == before
        assert [row["clientOrderId"] for row in sim.signed("GET", "openOrders", symbol=SYMBOL).json] == [
            "open"
        ]
        assert sim.signed("DELETE", "order", symbol=SYMBOL, origClientOrderId="open").status == 200
        assert Decimal(sim.sim("balances")["USDT"]["locked"]) == 0
        newest = max(row["orderId"] for row in sim.signed("GET", "allOrders", symbol=SYMBOL).json)
        assert sim.buy(client_id="third").json["orderId"] == newest + 1


def test_a_torn_last_line_does_not_count(tmp_path: Path) -> None:
    """Half a line, as a power cut leaves it, is cut off; the lines before it count."""
    path = tmp_path / "state.jsonl"
    with running(state_path=path) as sim:
        sim.buy(client_id="whole")
        before = picture(sim)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"what":"order","at":17')
    with running(state_path=path) as sim:
        assert picture(sim) == before
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "line", ["nonsense\n", "[]\n", '{"schema": 99, "symbol": "BTCUSDT"}\n', '{"schema": 1, "symbol": "X"}\n']
)
def test_a_foreign_file_is_refused(tmp_path: Path, line: str) -> None:
    """A file of something else, of another schema or another symbol stops the start and stays as it was."""
    path = tmp_path / "state.jsonl"
    path.write_text(line)
    with pytest.raises(DataError, match=r"state\.jsonl"):
        Venue(config(state_path=path))
    assert path.read_text() == line


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The file, line by line."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_several_symbols_survive_a_restart(tmp_path: Path) -> None:
    """Orders, open ones too, balances and the next ids of each symbol; in whatever order the symbols are named."""
    path = tmp_path / "state.jsonl"
    with running(traded=BOOK, state_path=path) as sim:
        for symbol, price in (("BTCUSDT", "20000"), ("ETHUSDT", "900")):
            sim.trade(symbol, "BUY", "0.01")
            sim.trade(symbol, "BUY", "0.02", price=price)
        sim.trade("ETHUSDT", "SELL", "0.005")
        before = picture(sim)
    assert lines_of(path)[0]["symbols"] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    with running(traded=BOOK[::-1], state_path=path) as sim:
        assert picture(sim) == before
        placed = [sim.trade(it.name, "BUY", "1" if it.base == "SOL" else "0.01") for it in BOOK]
        assert [it["orderId"] for it in placed] == [3, 4, 1]
        assert [it["fills"][0]["tradeId"] for it in placed] == [2, 3, 1]


def test_a_file_of_one_symbol_is_as_it_was(tmp_path: Path) -> None:
    """Its first line names the symbol as before there were several, and such a file is read."""
    path = tmp_path / "state.jsonl"
    with running(state_path=path) as sim:
        sim.buy(client_id="old")
    assert lines_of(path)[0] == {"what": "born", "at": 0, "schema": 1, "symbol": "BTCUSDT"}
    with running(traded=BOOK[:1], state_path=path) as sim:
        assert [row["clientOrderId"] for row in sim.sim("ledger")] == ["old"]


@pytest.mark.parametrize(("written", "asked"), [(1, 2), (2, 1), (3, 2), (2, 3)])
def test_a_file_of_other_symbols_is_refused(tmp_path: Path, written: int, asked: int) -> None:
    """Of more or fewer: the message names both lists, and the file stays as it was."""
    path = tmp_path / "state.jsonl"
    with running(traded=BOOK[:written], state_path=path) as sim:
        sim.buy()
    text = path.read_text()
    names = [", ".join(it.name for it in BOOK[:count]) for count in (written, asked)]
    with pytest.raises(DataError, match=f"written for {names[0]} in schema 1, wanted {names[1]} in schema 1"):
        Venue(config(traded=BOOK[:asked], state_path=path))
    assert path.read_text() == text


CHILD = """
import sys
sys.path.insert(0, {kit!r})
from pathlib import Path
from tests.support.venue_kit import config
from trader.exchange.server import EmbeddedExchange
exchange = EmbeddedExchange(config(state_path=Path({state!r})))
exchange.start()
print(exchange.url, flush=True)
exchange.serve_forever()
"""


class Remote(Sim):
    """Raw access to an exchange in another process."""

    def __init__(self, port: int) -> None:
        self._remote_port = port

    @property
    def port(self) -> int:
        """The port the other process printed."""
        return self._remote_port

    def now(self) -> int:
        """Its virtual time, asked over the wire."""
        return int(self.sim("clock")["now"])


def test_sigkill_right_after_the_answer_loses_nothing(tmp_path: Path) -> None:
    """Whatever was answered before a SIGKILL is there after it."""
    path = tmp_path / "state.jsonl"
    code = CHILD.format(kit=str(Path(__file__).parents[2]), state=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            remote = Remote(int(child.stdout.readline().rpartition(":")[2]))
            answers = [remote.buy(client_id=f"kill-{n}").json for n in range(5)]
        finally:
            os.kill(child.pid, signal.SIGKILL)
    with running(state_path=path) as sim:
        ledger = sim.sim("ledger")
        assert [row["clientOrderId"] for row in ledger] == [f"kill-{n}" for n in range(5)]
        assert [row["fills"][0]["price"] for row in ledger] == [a["fills"][0]["price"] for a in answers]


def test_the_file_is_lines_of_json(tmp_path: Path) -> None:
    """The state can be read by anything that reads JSON lines; amounts are plain decimal strings."""
    path = tmp_path / "state.jsonl"
    with running(state_path=path) as sim:
        sim.buy("0.1000")
        sim.to(AT + 1)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["what"] for line in lines] == ["born", "order", "clock"]
    assert lines[1]["orders"][0]["executed_qty"] == "0.1000"
