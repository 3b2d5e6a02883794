"""Commission as Binance takes it: in base, in quote, or in a third asset, whose value is booked whatever the venue says of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.adapters.test_binance_orders import ORDER, REPLY
from tests.support.raw_server import Answer, error, http, serving, spot
from trader.core.ports import CommissionTerms
from trader.core.types import Fill

IN_BTC = REPLY["fills"][0]
IN_BNB = {**IN_BTC, "commission": "0.00030000", "commissionAsset": "BNB"}
NO_PAIR = error(400, -1121, "Invalid symbol.")


def rates(multiplier: str = "0.75000000", enabled: bool = True) -> Answer:
    """A tenth of a percent, a hundredth of one of tax, and the discount of the standard part."""
    nothing = {"maker": "0.00000000", "taker": "0.00000000", "buyer": "0.00000000", "seller": "0.00000000"}
    return http(
        200,
        {
            "symbol": "BTCUSDT",
            "standardCommission": {**nothing, "taker": "0.00100000"},
            "specialCommission": nothing,
            "taxCommission": {**nothing, "taker": "0.00010000"},
            "discount": {
                "enabledForAccount": enabled,
                "enabledForSymbol": True,
                "discountAsset": "BNB",
                "discount": multiplier,
            },
        },
    )


def book(ask: str) -> Answer:
    """The best offer of a BNB."""
    return http(200, {"symbol": "BNBUSDT", "bidPrice": "1.0", "bidQty": "1", "askPrice": ask, "askQty": "1"})


def booked(ticker: Answer, terms: Answer | None = None, rows: list[Any] | None = None) -> list[Fill]:
    """The fills of an order of 0.004 BTC at 60,000 that is accepted; each asset's price is asked once."""
    scripts = {"order": [http(200, {**REPLY, "fills": rows or [IN_BNB]})], "ticker/bookTicker": [ticker]}
    with (
        serving(scripts={**scripts, "account/commission": [terms or rates()]}) as server,
        spot(server.url) as adapter,
    ):
        sent = adapter.send(ORDER)
        asked = server.of("/api/v3/ticker/bookTicker")
        assert {heard.params["symbol"] for heard in asked} == {"BNBUSDT"}
    assert sent.outcome == "accepted", sent.message
    return list(sent.fills or [])


def test_commission_in_a_third_asset_is_booked_at_its_price() -> None:
    """0.0003 BNB at 600 USDT are 0.18 USDT; what was taken and at what price stands in the fill."""
    [fill] = booked(book("600.00000000"))
    taken = ("other", Decimal("0.18"), "BNB", Decimal("0.0003"), Decimal(600))
    assert (
        fill.commission_in,
        fill.commission,
        fill.other_asset,
        fill.other_amount,
        fill.other_price,
    ) == taken


NO_PRICE = {
    "no such pair": NO_PAIR,
    "nobody offers any": book("0.00000000"),
    "a ticker that fails": error(503, -1001, "Internal error"),
    "an absurd price": book("600000.00000000"),
}


@pytest.mark.parametrize("name", NO_PRICE)
def test_without_a_price_the_account_s_rate_says_the_value(name: str) -> None:
    """0.004 BTC at 60,000 are 240 USDT; three quarters of 0.1 % and the tax of 0.01 % are 0.204 USDT."""
    [fill] = booked(NO_PRICE[name])
    assert (fill.commission_in, fill.commission, fill.other_price) == ("other", Decimal("0.204"), None)
    assert (fill.other_asset, fill.other_amount) == ("BNB", Decimal("0.0003"))


def test_a_stock_that_ends_within_an_order_leaves_fills_of_both_kinds() -> None:
    """Two fills of one order: the first took the last BNB, the second is charged in base as ever."""
    halves = [{**row, "qty": "0.00200000", "tradeId": n} for n, row in enumerate((IN_BNB, IN_BTC), start=7)]
    first, second = booked(book("600.00000000"), rows=halves)
    assert (first.commission_in, first.commission) == ("other", Decimal("0.18"))
    assert (second.commission_in, second.commission) == ("base", Decimal("0.000004"))


def test_an_order_that_is_looked_up_is_booked_the_same() -> None:
    """The executions of an order found later say BNB too."""
    trade = {**IN_BNB, "id": 7, "orderId": 32, "isBuyer": True}
    scripts = {"myTrades": [http(200, [trade, {**trade, "id": 8}])], "ticker/bookTicker": [book("600.0")]}
    with serving(scripts=scripts) as server, spot(server.url) as adapter:
        found = adapter.fills("BTCUSDT", 32)
        assert len(server.of("/api/v3/ticker/bookTicker")) == 1
    assert [(fill.commission_in, fill.commission) for fill in found] == [("other", Decimal("0.18"))] * 2


def test_the_terms_say_both_rates_and_the_asset() -> None:
    """Standard, special and tax together; the discount meets the standard part; switched off, no asset is named."""
    expected = {
        rates(): CommissionTerms(Decimal("0.0011"), Decimal("0.00085"), "BNB"),
        rates(enabled=False): CommissionTerms(Decimal("0.0011"), Decimal("0.00085"), ""),
        rates("0.00000000"): CommissionTerms(Decimal("0.0011"), Decimal("0.0011"), "BNB"),
    }
    for answer, terms in expected.items():
        with serving(scripts={"account/commission": [answer]}) as server, spot(server.url) as adapter:
            assert adapter.commission_terms("BTCUSDT") == terms


def test_a_price_in_the_symbol_s_quote_asset() -> None:
    """The best ask, or none where the venue lists no such pair."""
    for ticker, price in ((book("612.50000000"), Decimal("612.5")), (NO_PAIR, None)):
        with serving(scripts={"ticker/bookTicker": [ticker]}) as server, spot(server.url) as adapter:
            assert adapter.price_of("BNB", "BTCUSDT") == price
