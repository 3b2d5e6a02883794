"""Commission in a third asset at the exchange: cheaper while its stock lasts, from what is received when it is used up."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.rig import command as run
from tests.support.rig_bars import made_bars
from tests.support.venue_kit import SYMBOL, command, running
from trader.exchange.matching import FeeAsset

BNB = FeeAsset("BNB", Decimal("0.25"), Decimal(600))


def with_stock(stock: str) -> dict[str, Any]:
    """An account of 10,000 USDT and some BNB, which pays its commission."""
    return {"fee_asset": BNB, "balances": {"USDT": Decimal(10_000), "BNB": Decimal(stock)}}


def test_commission_is_taken_from_the_stock_at_a_discount() -> None:
    """A purchase brings its whole quantity; what left the stock is three quarters of 0.1 % of the notional, in BNB."""
    with running(**with_stock("1")) as sim:
        reply = sim.buy("0.01").json
        [fill] = reply["fills"]
        notional = Decimal(reply["cummulativeQuoteQty"])
        taken = Decimal(fill["commission"])
        assert fill["commissionAsset"] == "BNB"
        assert 0 <= taken * 600 - notional * Decimal("0.00075") < Decimal("0.00001")
        assert (sim.free("BTC"), sim.free("USDT")) == (Decimal("0.01"), 10_000 - notional)
        assert sim.free("BNB") == 1 - taken
        [trade] = sim.signed("GET", "myTrades", symbol=SYMBOL).json
        assert (trade["commission"], trade["commissionAsset"]) == (fill["commission"], "BNB")


def test_a_stock_that_does_not_cover_a_fill_pays_nothing_of_it() -> None:
    """Two fills of one order: the stock pays for the first, and the second is charged in base at the whole rate."""
    with running(**with_stock("0.0003")) as sim:
        sim.sim("faults", [{"method": "POST", "path": "/api/v3/order", "action": "book", "fills": 2}])
        first, second = sim.buy("0.01").json["fills"]
        assert (first["commissionAsset"], second["commissionAsset"]) == ("BNB", "BTC")
        assert Decimal(second["commission"]) == Decimal("0.000005")
        assert sim.free("BTC") == Decimal("0.009995")
        assert sim.free("BNB") == Decimal("0.0003") - Decimal(first["commission"]) >= 0


def test_the_venue_says_the_discount_and_quotes_the_asset() -> None:
    """The multiplier as Binance tells it, in both places, and a ticker of the pair; other pairs are as unknown as before."""
    with running(**with_stock("1")) as sim:
        said = sim.signed("GET", "account/commission", symbol=SYMBOL).json["discount"]
        order = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
        tried = sim.signed("POST", "order/test", **order, computeCommissionRates="true").json["discount"]
        assert said == tried
        assert said == {
            "enabledForAccount": True,
            "enabledForSymbol": True,
            "discountAsset": "BNB",
            "discount": "0.75000000",
        }
        ticker = sim.raw("GET", "/api/v3/ticker/bookTicker?symbol=BNBUSDT").json
        assert (ticker["symbol"], ticker["bidPrice"], ticker["askPrice"]) == (
            "BNBUSDT",
            "600.00000000",
            "600.00000000",
        )
        assert sim.raw("GET", "/api/v3/ticker/price?symbol=BNBUSDT").json["price"] == "600.00000000"
        assert sim.raw("GET", "/api/v3/ticker/bookTicker?symbol=ETHUSDT").json["code"] == -1121
    with running() as sim:
        said = sim.signed("GET", "account/commission", symbol=SYMBOL).json["discount"]
        assert (said["enabledForAccount"], said["enabledForSymbol"]) == (False, False)
        assert sim.raw("GET", "/api/v3/ticker/bookTicker?symbol=BNBUSDT").json["code"] == -1121


def test_the_command_takes_the_asset_its_discount_and_its_price(tmp_path: Path) -> None:
    """A balance of the fee asset alone leaves the account its 10,000 USDT."""
    import json
    import urllib.request

    bars = made_bars(tmp_path, "2021-01-01", "2021-01-20")
    fee = ("--fee-asset", "bnb", "--fee-discount", "0.4", "--fee-asset-price", "250", "--balance", "BNB=2")
    with command(tmp_path / "stderr", "--bars", str(bars), "--at", "2021-01-10", *fee) as ready:
        with urllib.request.urlopen(f"{ready['url']}/sim/balances", timeout=10) as reply:
            held = {asset: Decimal(row["free"]) for asset, row in json.loads(reply.read()).items()}
        url = f"{ready['url']}/api/v3/ticker/price?symbol=BNBUSDT"
        with urllib.request.urlopen(url, timeout=10) as reply:
            assert json.loads(reply.read())["price"] == "250.00000000"
    assert held == {"BTC": 0, "USDT": 10_000, "BNB": 2}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--fee-asset", "BTC"), "--fee-asset BTC is traded by BTCUSDT; name a third asset"),
        (("--fee-asset", "BNB", "--fee-discount", "1"), "--fee-discount 1 below 1"),
        (("--fee-asset", "BNB", "--fee-asset-price", "0"), "--fee-asset-price 0 above 0"),
    ],
)
def test_a_fee_asset_that_cannot_be_is_refused(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    """One sentence that names the option, and exit 2."""
    done = run("trader", "exchange", "--synthetic", "1", *options, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
