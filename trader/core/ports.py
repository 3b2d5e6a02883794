"""What the core and the verbs of production need from outside, as Protocols. Adapters are written to these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol, runtime_checkable

from trader.core.exports import ExportFacts, ExportForm, ExportProof, ProofScene
from trader.core.forecast import Forecast, Traits
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.types import Bars, Fill, Filters, Floats, Ints, Matrix, Quote, Side

ForecasterOf = Callable[[str], "Forecaster"]


class Predictor(Protocol):
    """A fitted model, ready to predict. It is never changed: what it says follows from its bytes and the panel."""

    def predict(self, panel: Panel, hours: Ints) -> Forecast:
        """What the model says about hours (m,) UTC ms of a panel of one symbol, each from the rows up to it alone.

        Raises DataError for a symbol that the model was not fitted for, and for hours that are not in the panel.
        """


@runtime_checkable
class Contributing(Protocol):
    """A predictor that says what each feature adds."""

    def contributions(self, X: Matrix) -> Matrix:
        """What each feature adds to the log-odds of P(up), the last column the base: X (n, k) -> (n, k + 1) float32.

        TreeSHAP (Lundberg and others, 2020): a row's values add up to the log-odds of its P(up).
        """


@runtime_checkable
class Explaining(Protocol):
    """A predictor that a person can be shown: a few numbers and words say all that it is."""

    def explain(self, time: int) -> dict[str, str | float]:
        """Its terms at a time (UTC ms), in the order in which they are shown: coefficients, or a trend and its seasons."""


@runtime_checkable
class StagedPredictor(Protocol):
    """A predictor that grew in stages, and can be asked for earlier ones."""

    def predict_stages(self, panel: Panel, hours: Ints, stages: Sequence[int]) -> Matrix:
        """P(up) by the first of its stages, for each of these ascending numbers of them: what fits of only so many
        predict, to the bit. (numbers, m) float32."""


class Forecaster(Protocol):
    """A family of models. Bytes in and out, so that a model can be stored, hashed and sent to another process.

    format: of the bytes, as a card names it. libraries: the distributions whose versions decide what a fit gives.
    """

    family: str
    format: str
    libraries: Sequence[str]
    traits: Traits

    def fit(self, panel: Panel, y: Floats, params: Params, *, horizon: int, until: int, seed: int) -> bytes:
        """Train on the hours of the panel up to `until` (UTC ms, inclusive). Equal input gives equal bytes.

        y: (symbols, n) labels of 1.0 and 0.0, NaN while unknown. horizon: hours that a prediction looks ahead.
        """

    def load(self, model: bytes, source: str) -> Predictor:
        """Raises DataError, naming `source`, for bytes that are not such a model."""


@runtime_checkable
class FitsInMemory(Protocol):
    """A forecaster that can leave out the way through bytes."""

    def fitted(
        self, panel: Panel, y: Floats, params: Params, *, horizon: int, until: int, seed: int
    ) -> Predictor:
        """`load(fit(...))`, on one thread: it predicts the same, to the bit."""


def fitted(
    forecaster: Forecaster, panel: Panel, y: Floats, params: Params, *, horizon: int, until: int, seed: int
) -> Predictor:
    """A predictor fitted here, by the shortest way that the family has."""
    if isinstance(forecaster, FitsInMemory):
        return forecaster.fitted(panel, y, params, horizon=horizon, until=until, seed=seed)
    model = forecaster.fit(panel, y, params, horizon=horizon, until=until, seed=seed)
    return forecaster.load(model, f"a {forecaster.family} model")


@runtime_checkable
class Exportable(Forecaster, Protocol):
    """A family whose models can be written in forms that other programs run."""

    @property
    def export_forms(self) -> tuple[ExportForm, ...]:
        """Those that it has."""

    def export(self, model: bytes, form: ExportForm, facts: ExportFacts) -> bytes:
        """A model's bytes -> the file. Equal input and libraries give equal bytes. Raises ConfigError where a library is
        missing, DataError for a model that the form cannot say."""

    def load_exported(self, data: bytes, form: ExportForm, source: str) -> Predictor:
        """Raises DataError, naming `source`, for bytes that are not such a file."""

    def prove(
        self, model: bytes, data: bytes, form: ExportForm, facts: ExportFacts, scene: ProofScene
    ) -> ExportProof:
        """Raises UnequalExport for the first row of which the file says something else than the model."""


class Clock(Protocol):
    """Time is a port: the wall in production, the exchange's clock in replay."""

    def now_ms(self) -> int:
        """UTC milliseconds."""

    def sleep(self, seconds: float) -> None:
        """Let time pass. In replay this moves the exchange's clock and returns at once."""


class Store(Protocol):
    """Objects by key. Keys are `/`-separated; listing is sorted."""

    def get(self, key: str) -> bytes | None:
        """The object, or None."""

    def put(self, key: str, data: bytes) -> None:
        """Write or overwrite. For caches and pages only: nothing that decides is ever overwritten."""

    def create(self, key: str, data: bytes) -> bool:
        """Create if absent, atomic in content. True if the object now holds these bytes because of this writer (or
        of its own earlier try), False if another writer's object is there."""

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Keys that begin with `prefix` and sort after `after`, at most `limit`, sorted."""


class MarketData(Protocol):
    """Closed bars of the signal's market."""

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """Closed bars with start <= close_time < stop (UTC ms), gaps filled and flagged. Raises Retry."""


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """A market order whose bytes are fixed. `body` is what will be sent, signature apart; the exchange refuses it
    after expires_at_ms = timestamp_ms + recv_window_ms, on its own clock."""

    symbol: str
    side: Side
    qty: Decimal
    client_order_id: str
    timestamp_ms: int
    recv_window_ms: int

    @property
    def expires_at_ms(self) -> int:
        """The last instant at which the exchange may still accept these bytes, UTC ms on its clock."""
        return self.timestamp_ms + self.recv_window_ms


@dataclass(frozen=True, slots=True)
class OrderState:
    """What the exchange says about one order. `final` orders change no more."""

    client_order_id: str
    order_id: int
    status: str
    side: Side
    executed_qty: Decimal
    quote_qty: Decimal
    transact_ms: int
    symbol: str
    type: str
    orig_qty: Decimal

    @property
    def final(self) -> bool:
        """True where nothing more can be filled."""
        return self.status in ("FILLED", "CANCELED", "EXPIRED", "REJECTED", "EXPIRED_IN_MATCH")


Again = Literal["", "now", "later", "filters"]


@dataclass(frozen=True, slots=True)
class OrderAnswer:
    """The answer to an order: accepted with a state, refused with the exchange's reason, or unknown.

    `again` says of a refusal that another attempt may go through: now (a timestamp out of its window), later (nothing left,
    or the venue wants to hear nothing for a while), or with a quantity that fits the venue's filters of now. "" where the
    refusal is for good.
    """

    outcome: Literal["accepted", "refused", "unknown"]
    state: OrderState | None = None
    fills: Sequence[Fill] | None = None
    message: str = ""
    again: Again = ""


@dataclass(frozen=True, slots=True)
class OwnTrade:
    """An execution of this account, by whichever order of its. qty in base, quote_qty in quote."""

    client_order_id: str
    side: Side
    qty: Decimal
    quote_qty: Decimal


@dataclass(frozen=True, slots=True)
class CommissionTerms:
    """What an account pays of what a market order trades, as shares: `rate` where commission is taken from what is received,
    `discounted_rate` where it is taken from the stock of `discount_asset`, which is "" where the account does not pay so.
    """

    rate: Decimal
    discounted_rate: Decimal
    discount_asset: str = ""


class Exchange(Protocol):
    """A venue that keeps an account and executes market orders. Every method raises Retry where the venue did not
    answer usefully, and ConfigError or Halt where it answered that a person must act; `send` returns instead."""

    def time_ms(self) -> int:
        """The venue's clock, UTC ms, asked anew."""

    def filters(self, symbol: str) -> Filters:
        """What it accepts for a symbol. Raises Halt where the symbol does not trade."""

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Best bid and ask of several symbols, in one request; a symbol without both is not there."""

    def quote(self, symbol: str) -> Quote:
        """Best bid and ask."""

    def balances(self) -> Mapping[str, Decimal]:
        """Free amounts by asset; an asset that is not held is missing."""

    def commission_terms(self, symbol: str) -> CommissionTerms:
        """What a market order pays, every part that the account is charged, with and without a discount."""

    def price_of(self, asset: str, symbol: str) -> Decimal | None:
        """What a unit of another asset costs in the symbol's quote asset; None where the venue does not quote it."""

    def sign(self, symbol: str, side: Side, qty: Decimal, client_order_id: str, now_ms: int) -> SignedOrder:
        """Fix a market order's bytes, timestamp and window; nothing is sent."""

    def send(self, order: SignedOrder) -> OrderAnswer:
        """Send these very bytes, once. Never raises for what the venue or the network does."""

    def check(self, symbol: str, side: Side, qty: Decimal) -> str:
        """Ask the venue whether it would accept such an order, without one. "" if it would, else its message."""

    def find(self, symbol: str, client_order_id: str) -> OrderState | None:
        """The newest order with this id; None if the venue says that there is none."""

    def open_orders(self, symbol: str) -> list[OrderState]:
        """Orders that can still be filled."""

    def fills(self, symbol: str, order_id: int) -> list[Fill]:
        """The executions of one order, oldest first."""

    def orders(self, symbol: str, since_ms: int | None) -> list[OrderState]:
        """This account's orders since a time (UTC ms), whoever sent them, those included that only a trade of theirs shows;
        without a time the newest ones."""

    def trades(self, symbol: str, since_ms: int) -> list[OwnTrade]:
        """This account's executions since a time, whoever ordered them."""

    def assets(self, symbol: str) -> tuple[str, str]:
        """Base and quote asset of a symbol."""
