"""Every typed object of the journal, drawn: for tests of how they are stored."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from trader.app import codec, codec_events
from trader.app.stored import EventFormat, Format, Note
from trader.core import events as ev
from trader.core import records as rec
from trader.core.hours import HourLine, HourState
from trader.core.ledger import Ledger
from trader.core.lifecycle import BreachRule
from trader.core.risk import RiskState
from trader.core.sanity import UnconfirmedClose
from trader.core.types import HOUR_MS, Fill, Filters, Quote

SYMBOL = "BTCUSDT"
text = st.text(max_size=12)
counts = st.integers(0, 10**6)
times = st.integers(0, 4_000_000_000_000)
hours = st.integers(0, 1_100_000).map(lambda hour: hour * HOUR_MS)
numbers = st.floats(allow_nan=False, allow_infinity=False)
# Amounts as the program makes them: plain notation does not keep trailing zeros, nor does equality.
money = st.decimals(-(10**12), 10**12, places=8, allow_nan=False)
digests = st.sampled_from(["", "0" * 64, "0123456789abcdef" * 4])
sides, targets = st.sampled_from(["BUY", "SELL"]), st.sampled_from(["long", "flat", "short"])
features = st.dictionaries(st.text(min_size=1, max_size=6), st.none() | numbers, max_size=3)
quantiles = st.lists(numbers, max_size=7).map(tuple)
authors = st.sampled_from(["bot", "person"])


def maybe(values: st.SearchStrategy) -> st.SearchStrategy:
    """None, or one of these."""
    return st.none() | values


taken_here = st.builds(Fill, sides, money, money, money, st.sampled_from(["base", "quote"]), counts)
taken_elsewhere = st.builds(
    Fill, sides, money, money, money, st.just("other"), counts, text, money, maybe(money)
)
fills = taken_here | taken_elsewhere
some_fills = st.lists(fills, max_size=2).map(tuple)
ledgers = st.builds(Ledger, money, money, money, counts, counts)
risks = st.builds(RiskState, money, money, maybe(times), maybe(text), st.booleans())
doubts = st.builds(UnconfirmedClose, money, maybe(money))
states = st.builds(HourState, ledgers, risks, maybe(times), maybe(doubts))
totals = st.builds(rec.Totals, states, counts, counts, counts)
lines = st.builds(
    HourLine,
    hours,
    maybe(numbers),
    targets,
    maybe(sides),
    maybe(money),
    maybe(money),
    money,
    money,
    money,
    text,
)
filters = st.builds(Filters, money, money, money, money, maybe(money))
symbols = st.just(SYMBOL)

decisions = st.builds(
    rec.Decision,
    symbol=symbols,
    close_time=times,
    p_up=maybe(numbers),
    no_p_up=text,
    target=targets,
    reason=text,
    order=maybe(st.builds(rec.Order, sides, money, money)),
    close=money,
    gap=st.booleans(),
    quote=maybe(st.builds(Quote, money, money)),
    equity_before_usdt=money,
    totals=totals,
    model_id=text,
    model_late=st.booleans(),
    bars_hash=text,
    features=features,
    enter_edge=numbers,
    exit_edge=numbers,
    deadline_ms=times,
    filters=filters,
    code_version=text,
    quantiles=quantiles,
)
records = st.builds(
    rec.HourRecord,
    symbol=symbols,
    close_time=times,
    line=lines,
    fills=some_fills,
    close=money,
    gap=st.booleans(),
    expected_price=maybe(money),
    features=features,
    model_id=text,
    model_late=st.booleans(),
    totals=totals,
    quantiles=quantiles,
)
attempts = st.builds(
    rec.Attempt,
    symbols,
    st.booleans(),
    sides,
    money,
    money,
    maybe(st.builds(rec.Balances, money, money)),
    text,
    times,
    counts,
    times,
    maybe(filters),
)
kinds = st.sampled_from(["filled", "partial", "expired", "refused", "absent", "void"])
outcomes = st.builds(
    rec.Outcome, symbols, kinds, some_fills, text, maybe(counts), maybe(times), st.booleans()
)
causes = st.sampled_from(["first", "calendar", "breach", "asked", "rollback"])
halts = st.builds(ev.HaltEvent, symbols, times, text, st.booleans(), authors, text)
resumes = st.builds(ev.ResumeEvent, symbols, times, authors, text)

retrain_rules = st.builds(BreachRule, counts, maybe(numbers), maybe(numbers), counts, maybe(counts))

# Each format with what it stores.
OBJECTS: list[tuple[Format[Any], st.SearchStrategy]] = [
    (codec.DECISION, decisions),
    (codec.ATTEMPT, attempts),
    (codec.OUTCOME, outcomes),
    (codec.RECORD, records),
]
EVENTS: list[tuple[EventFormat[Any], st.SearchStrategy]] = [
    (codec_events.DEPLOYMENT, st.builds(ev.DeploymentEvent, symbols, times, text, maybe(retrain_rules))),
    (codec_events.CHAMPION, st.builds(ev.ChampionEvent, symbols, text, times, causes, text, counts, digests)),
    (codec_events.HALT, halts | resumes),
    (codec_events.BREACH, st.builds(ev.BreachEvent, symbols, times, text)),
    (codec_events.STUDY, st.builds(ev.StudyEvent, symbols, text, times)),
]
recent = st.builds(rec.RecentHour, times, money, st.booleans(), maybe(numbers), features)
cursors = st.builds(rec.Cursor, maybe(times), st.dictionaries(text, counts, max_size=3), counts, counts, text)
NOTES: list[tuple[Note[Any], st.SearchStrategy]] = [
    (codec.RECENT, st.builds(rec.RecentHours, st.lists(recent, max_size=3).map(tuple))),
    (codec.CURSOR, cursors),
]

# A price that no plain text is: what a decimal's reader must refuse.
NO_MONEY = (
    "1e5",
    "NaN",
    "Infinity",
    "1_000",
    " 1",
    "1,5",
    "",
    "+1",
    ".5",
    "0x1",
    "\u0661",
    Decimal(1).__repr__(),
)
