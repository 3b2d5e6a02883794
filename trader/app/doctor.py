"""What an operator would check by hand before trusting a bot with an hour: each with a verdict and what to do.

Nothing here trades. The store is written to under `doctor/` only.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from trader.app.adoption import with_account
from trader.app.bot import Bot
from trader.app.cursors import standing, standing_in_words
from trader.app.explain import newest_hour
from trader.app.halts import standing_halt
from trader.app.journal import Journal
from trader.app.retrain import champions, deployment, load_model, newest_readable_params
from trader.app.trouble import standing_trouble
from trader.core.errors import DataError, TraderError
from trader.core.lifecycle import is_late, serving
from trader.core.params import params_of
from trader.core.ports import Clock, Exchange, ForecasterOf, Store
from trader.core.text import plural
from trader.core.types import HOUR_MS, Side, floor_hour, iso, plain

FindingVerdict = Literal["pass", "warn", "fail"]

# The venue refuses a request that is stamped a second in its future; half of that deserves a word.
OFFSET_WARN_MS = 500
OFFSET_FAIL_MS = 30_000
DISK_WARN_BYTES, DISK_FAIL_BYTES = 1_000_000_000, 50_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: `said` is what was seen, `todo` what a person does about it ("" where nothing)."""

    check: str
    verdict: FindingVerdict
    said: str
    todo: str = ""


Check = Callable[[], Finding]

# Checks that ask the exchange, its time among them: without one that answers nothing can be said.
ASK_THE_EXCHANGE = ("clock", "filters", "bars", "model", "hours", "account", "costs", "rights")


def exchange_check(exchange: Exchange, url: str, start: str) -> Finding:
    """The exchange answers. start: what a person does where it does not."""
    try:
        exchange.time_ms()
    except TraderError as error:
        said = str(error).removeprefix(url).lstrip(": ")
        return Finding(
            "exchange", "fail", f"cannot reach the exchange at {url}: {said}", f"{start}, then retry"
        )
    return Finding("exchange", "pass", f"{url} answers")


def examine(checks: dict[str, Check]) -> Iterator[Finding]:
    """The findings in order; a check that cannot be made is a failed one, and the others go on. Where the exchange does not
    answer, that is said once, and what would ask it is left out."""
    silent = False
    for name, check in checks.items():
        if silent and name in ASK_THE_EXCHANGE:
            continue
        try:
            finding = check()
            silent = silent or (name == "exchange" and finding.verdict == "fail")
            yield finding
        except TraderError as error:
            yield Finding(name, "fail", str(error), "remove the cause that the message names, then retry")


def clock_check(exchange: Exchange, clock: Clock, whose: str = "this machine", rate: float = 1.0) -> Finding:
    """The clock that the schedule follows against the venue's; orders are stamped by the venue's, so a small offset is harmless.

    `whose` clock that is, and how many seconds of the venue pass in one of this machine (`rate`): an answer is that much
    older when it is read, so what lies between the two looks at the clock is no offset.
    """
    before, venue, after = clock.now_ms(), exchange.time_ms(), clock.now_ms()
    offset = before - venue if venue < before else min(0, after - venue)
    said = f"{whose} is {offset / 1000:+.2f} s off the venue"
    if abs(offset) > OFFSET_FAIL_MS:
        return Finding(
            "clock", "fail", said, "synchronise the clock (NTP): cron would tick in the wrong hour"
        )
    return Finding("clock", "warn" if abs(offset) > OFFSET_WARN_MS * rate else "pass", said)


def filters_check(exchange: Exchange, symbol: str) -> Finding:
    """The symbol trades, and its filters can be read."""
    found = exchange.filters(symbol)
    return Finding(
        "filters",
        "pass",
        f"{symbol}: " + ", ".join(f"{key} {value}" for key, value in found.as_json().items()),
    )


def data_check(bot: Bot) -> Finding:
    """The newest closed bar of the signal's source is the one it should be."""
    hour = floor_hour(bot.exchange.time_ms())
    bars = bot.collector.between(hour - 48 * HOUR_MS, hour + HOUR_MS)
    if not len(bars):
        return Finding(
            "bars", "fail", "the source has no bar of the last two days", "check TRADER_DATA_URL and symbol"
        )
    late = (hour - bars.last) // HOUR_MS
    said = f"newest bar closed {iso(bars.last)}"
    return Finding(
        "bars",
        "fail" if late > 1 else "warn" if late else "pass",
        said,
        "" if late < 2 else "wait, or check TRADER_DATA_URL",
    )


def account_check(bot: Bot) -> Finding:
    """The keys may read the account, and it covers what the bot believes to have."""
    base, quote = bot.exchange.assets(bot.symbol)
    free = bot.exchange.balances()
    cash, position = _believed(bot)
    have_quote, have_base = free.get(quote, Decimal(0)), free.get(base, Decimal(0))
    said = f"free: {plain(have_base)} {base}, {plain(have_quote)} {quote}; the bot counts on {plain(position)} and {plain(cash)}"
    if have_quote < cash or have_base < position:
        todo = "fund the account, lower allocation_usdt, or find what moved the balance; the next order would halt"
        return Finding("account", "fail", said, todo)
    return Finding("account", "pass", said)


def _believed(bot: Bot) -> tuple[Decimal, Decimal]:
    begun = deployment(bot.journal)
    if begun is None:
        return Decimal(0), Decimal(0)
    newest = bot.journal.newest_record(floor_hour(bot.exchange.time_ms()), begun.start_ms)
    if newest is None:
        params = newest_readable_params(bot.journal)
        return (params.allocation_usdt if params else Decimal(0)), Decimal(0)
    ledger = with_account(bot.journal, newest.totals)[0].state.ledger
    return ledger.cash, max(ledger.position, Decimal(0))


def rights_check(exchange: Exchange, symbol: str) -> Finding:
    """The keys may trade: the venue's own test of an order, without an order."""
    quote, filters = exchange.quote(symbol), exchange.filters(symbol)
    steps = (2 * filters.min_notional / quote.bid / filters.step_size).to_integral_value() + 1
    qty = max(steps * filters.step_size, filters.min_qty)
    side: Side = "SELL" if exchange.balances().get(exchange.assets(symbol)[0], Decimal(0)) >= qty else "BUY"
    said = exchange.check(symbol, side, qty)
    if said:
        return Finding(
            "rights",
            "fail",
            f"the venue would refuse an order: {said}",
            "enable spot trading for the key, or check its IP list",
        )
    return Finding("rights", "pass", "the venue would accept a market order")


def store_check(store: Store) -> Finding:
    """The store can be written and read, and creates only what is absent: the exactly-once promise rests on that."""
    key, mine, other = f"doctor/{secrets.token_hex(8)}", b"first", b"second"
    created, again = store.create(key, mine), store.create(key, other)
    if not created or again or store.get(key) != mine:
        todo = "use a folder, or an S3 server that honours If-None-Match: two ticks could both trade here"
        return Finding(
            "store", "fail", "the store overwrites what exists when told to create if absent", todo
        )
    return Finding("store", "pass", "writable, readable, creates only what is absent")


def disk_check(free_bytes: int, where: str) -> Finding:
    """Room for the journal: a full disk stops the bot before it trades, not after."""
    said = f"{free_bytes / 1e9:.1f} GB free at {where}"
    if free_bytes < DISK_FAIL_BYTES:
        return Finding(
            "disk", "fail", said, "free some space: no decision can be written, so nothing will be traded"
        )
    return Finding("disk", "warn" if free_bytes < DISK_WARN_BYTES else "pass", said)


def model_check(journal: Journal, hour: int, forecaster_of: ForecasterOf) -> Finding:
    """A model serves the hour, its bytes match its card, its features are this program's, and it is not late. Raises
    ConfigError where its family is not installed."""
    begun = deployment(journal)
    if begun is None:
        return Finding("model", "fail", "this bot has not begun", "trader retrain --params P.json")
    champion = serving(champions(journal), max(hour, begun.start_ms))
    if champion is None:
        return Finding("model", "fail", f"no model serves {iso(hour)}", "trader retrain")
    try:
        card, _ = load_model(journal, champion.model_id)
    except DataError as error:
        return Finding("model", "fail", str(error), "trader models rollback, or: trader retrain")
    forecaster_of(card.family)
    params = params_of(card.params, f"models/{card.model_id}/card")
    said = f"{card.model_id} ({card.family}), {card.rows_in_words} until {iso(card.train_until)}, features {card.features}"
    if is_late(begun.start_ms, params.step_days, champion, hour):
        return Finding("model", "warn", f"{said}; the calendar has a newer refit", "trader retrain --if-due")
    return Finding("model", "pass", said)


def halt_check(journal: Journal) -> Finding:
    """Trading is not halted."""
    found = standing_halt(journal)
    if found is None:
        return Finding("halt", "pass", "not halted")
    said = f"halted since {iso(found.at_ms)}: {found.reason} {found.message}".rstrip()
    return Finding(
        "halt", "fail", said, "find and mend the cause (docs/runbook.md), then: trader resume --reason ..."
    )


def trouble_check(journal: Journal) -> Finding:
    """Ticks go through."""
    found = standing_trouble(journal)
    if found is None:
        return Finding("ticks", "pass", "the newest tick went through")
    said = f"ticks fail since {iso(found.at_ms)} (exit {found.exit_code}): {found.message}"
    return Finding(
        "ticks",
        "fail",
        said,
        "remove the cause that the message names; the next tick that succeeds ends the trouble",
    )


def hours_check(journal: Journal, hour: int) -> Finding:
    """The newest closed hour is the current one or the one before."""
    begun = deployment(journal)
    newest = None if begun is None else journal.newest_record(hour, begun.start_ms)
    if newest is None:
        return Finding("hours", "warn", "no hour is closed yet", "the first tick closes one")
    behind = (hour - newest.close_time) // HOUR_MS
    said = f"newest closed hour {iso(newest.close_time)}"
    if behind > 1:
        todo = "see why ticks did not run or failed; missed hours are recorded, never traded late"
        return Finding("hours", "fail", f"{said}, {plural(behind, 'hour')} ago", todo)
    return Finding("hours", "pass", said)


def observers_check(journal: Journal, names: Sequence[str]) -> Finding:
    """Nobody who is told of the hours failed or was stopped the last time."""
    begun, hour = deployment(journal), newest_hour(journal)
    if begun is not None and hour is not None:
        wrong = [row for row in standing(journal, names, hour, begun.start_ms) if row["failures"]]
        if wrong:
            todo = "no hour is lost by it; mend what it says, then: trader observe"
            return Finding("observers", "warn", ". ".join(map(standing_in_words, wrong)), todo)
    return Finding("observers", "pass", f"told of each hour: {', '.join(names) or 'nobody'}")


def schedule_check(jobs: int, ticks: list[str], source: str) -> Finding:
    """The schedule has a tick in every hour, soon after it closes."""
    said = f"{source}: {jobs} jobs, ticks at {', '.join(ticks)}"
    hourly = any(when.split()[1:] == ["*"] * 4 for when in ticks)
    if not hourly:
        return Finding("schedule", "fail", said, "tick every hour: '0,1,3,10 * * * *  trader tick'")
    if all(when.split()[0].isdigit() for when in ticks):
        return Finding(
            "schedule", "warn", said, "a single tick an hour cannot mend a crash or a late bar: 0,1,3,10"
        )
    return Finding("schedule", "pass", said)


def failing(findings: list[Finding]) -> bool:
    """True where something must be mended before the bot can do its work."""
    return any(finding.verdict == "fail" for finding in findings)
