"""What happens to a bot, typed: it begins, gets models, halts, resumes, breaches its thresholds, searches parameters, and what
a person or the bot does about its account: orders adopted or ignored, attempts closed, sales at once, a new epoch.

Events of one `name` are numbered from 1 on, halts and resumes in one sequence; the newest wins. Account events are taken in
one by one, in their order. How they become JSON stands in `trader.app.codec_events`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Generic, Literal, TypeVar

from trader.core.lifecycle import BreachRule
from trader.core.types import Fill, iso, plain

Cause = Literal["first", "calendar", "breach", "asked", "rollback"]
Author = Literal["bot", "person"]


@dataclass(frozen=True, slots=True)
class DeploymentEvent:
    """The bot began. start_ms: its first hour, UTC ms. market: what its exchange said that it serves, where that is no real
    market, such as "synthetic market, seed 7"; else "". retrain_rule: by which a rehearsal such as the demo retrains, whatever
    the settings say; None for the settings' rules."""

    name: ClassVar[str] = "deployment"
    symbol: str
    start_ms: int
    market: str = ""
    retrain_rule: BreachRule | None = None


@dataclass(frozen=True, slots=True)
class ChampionEvent:
    """A model serves the hours from valid_from_ms on (UTC ms). card_sha256: of the card's content, "" for models that an
    earlier version published. breach_number: of the breach that it answers, 0 for none."""

    name: ClassVar[str] = "champion"
    symbol: str
    model_id: str
    valid_from_ms: int
    cause: Cause
    message: str = ""
    breach_number: int = 0
    card_sha256: str = ""


@dataclass(frozen=True, slots=True)
class HaltEvent:
    """Trading stops. freeze: what is held is kept, else it is sold. reason: the runbook's word; message: who halted says
    more."""

    name: ClassVar[str] = "halt"
    symbol: str
    at_ms: int
    reason: str
    freeze: bool
    by: Author
    message: str = ""


@dataclass(frozen=True, slots=True)
class ResumeEvent:
    """A person lifted the halt: the next hour begins a new risk epoch."""

    name: ClassVar[str] = "halt"
    symbol: str
    at_ms: int
    by: Author
    message: str


@dataclass(frozen=True, slots=True)
class BreachEvent:
    """Recent results, or drift, call for another model. at_ms: the hour that showed it, UTC ms."""

    name: ClassVar[str] = "breach"
    symbol: str
    at_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class StudyEvent:
    """Parameters were searched for a model that serves from serve_from_ms on (UTC ms)."""

    name: ClassVar[str] = "study"
    symbol: str
    study_id: str
    serve_from_ms: int


@dataclass(frozen=True, slots=True)
class AccountSaid:
    """What all account events say: when (UTC ms), by whom, and why in words."""

    name: ClassVar[str] = "account"
    symbol: str
    at_ms: int
    by: Author
    message: str


@dataclass(frozen=True, slots=True)
class AdoptEvent(AccountSaid):
    """What an order executed that no decision of this journal sent is this bot's from the next decision on: its fills are
    booked there. transact_ms: the venue's time of the order, UTC ms."""

    client_order_id: str
    transact_ms: int
    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True)
class IgnoreEvent(AccountSaid):
    """An order is none of this bot's business: it is seen no more, and nothing of it is booked."""

    client_order_id: str
    transact_ms: int


@dataclass(frozen=True, slots=True)
class ClosedAttemptEvent(AccountSaid):
    """A person closed attempt n of an hour, whose order the venue did not bring to an end."""

    hour_ms: int
    attempt: int


@dataclass(frozen=True, slots=True)
class FlattenEvent(AccountSaid):
    """A person sells what is held at once: `qty` in base, at `expected_price` in quote per base by the cost model. Its
    attempts lie in the folder of the hour and are numbered from `first_attempt` on; nothing is sent after deadline_ms."""

    hour_ms: int
    qty: Decimal
    expected_price: Decimal
    deadline_ms: int
    first_attempt: int


@dataclass(frozen=True, slots=True)
class EpochEvent(AccountSaid):
    """The account begins anew, flat with `allocation_usdt`: the equity curve starts again, and nothing of what was before
    counts as a loss. The records of before stay. position: what was believed to be held then, and is written off."""

    allocation_usdt: Decimal
    position: Decimal


@dataclass(frozen=True, slots=True)
class TroubleEvent:
    """Ticks began to fail, for a reason that lasts, or are well again (`over`). exit_code: of the failed tick, 0 when over."""

    name: ClassVar[str] = "trouble"
    symbol: str
    at_ms: int
    over: bool
    exit_code: int
    message: str


@dataclass(frozen=True, slots=True)
class RefusalEvent:
    """A trained model failed its certificate and was not named champion. valid_from_ms: the first hour that it should have
    served, UTC ms. certificate: the number of the certificate. breach_number: of the breach
    that it should have answered, 0 for none."""

    name: ClassVar[str] = "refusal"
    symbol: str
    at_ms: int
    model_id: str
    valid_from_ms: int
    certificate: int
    message: str
    breach_number: int = 0


@dataclass(frozen=True, slots=True)
class ReleaseEvent:
    """A person orders all cash of a symbol that trades no more back to its book. symbol: the book's own name; of: the symbol."""

    name: ClassVar[str] = "release"
    symbol: str
    at_ms: int
    of: str
    by: Author
    message: str


@dataclass(frozen=True, slots=True)
class SymbolsEvent:
    """A person changes the list of symbols of a running book. symbol: the book's own name. symbols: the whole list from then on.
    start_ms: the book's first hour, which stays. written_off_usdt: what removed symbols still held."""

    name: ClassVar[str] = "symbols"
    symbol: str
    at_ms: int
    symbols: tuple[str, ...]
    start_ms: int
    written_off_usdt: Decimal
    by: Author
    message: str


AccountEvent = AdoptEvent | IgnoreEvent | ClosedAttemptEvent | FlattenEvent | EpochEvent
AnyEvent = (
    DeploymentEvent
    | ChampionEvent
    | HaltEvent
    | ResumeEvent
    | BreachEvent
    | StudyEvent
    | AccountEvent
    | TroubleEvent
    | RefusalEvent
    | ReleaseEvent
    | SymbolsEvent
)


def account_words(event: AccountEvent) -> str:
    """What happened, in a few words, without who did it and why."""
    match event:
        case AdoptEvent():
            qty = sum((fill.qty for fill in event.fills), Decimal(0))
            return f"order {event.client_order_id} adopted, {plain(qty)} executed"
        case IgnoreEvent():
            return f"order {event.client_order_id} ignored"
        case ClosedAttemptEvent():
            return f"attempt {event.attempt} of {iso(event.hour_ms)} closed"
        case FlattenEvent():
            return f"{plain(event.qty)} to be sold at once"
        case EpochEvent():
            return f"a new epoch begins with {plain(event.allocation_usdt)} USDT"


E_co = TypeVar("E_co", bound=AnyEvent, covariant=True)


@dataclass(frozen=True, slots=True)
class Event(Generic[E_co]):
    """An event and its number, from 1 on."""

    number: int
    content: E_co

    @property
    def name(self) -> str:
        """The name of the sequence that it is numbered in."""
        return self.content.name
