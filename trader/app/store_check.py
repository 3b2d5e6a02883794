"""Whether a journal holds together: every object readable, hours in one run, totals that follow from line to line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from trader.app import adoption
from trader.app.book_check import BookRecords, read_book_records
from trader.app.codec import ATTEMPT, DECISION, OUTCOME, RECORD, TOTALS
from trader.app.codec_events import ACCOUNT, FORMATS, HALT
from trader.app.event_log import event_key
from trader.app.exports import export_problems
from trader.app.halts import taken_in
from trader.app.journal import Journal, hour_folder, hour_of_key
from trader.app.layout import BOOK, OLD_NAMES, STORE, keys_of
from trader.app.orders import MAX_ATTEMPTS
from trader.app.requantise import may_follow
from trader.app.retrain import champions, deployment, load_model
from trader.app.store_care import prove, read_all
from trader.core.errors import TraderError
from trader.core.events import AnyEvent
from trader.core.hours import HourState
from trader.core.labels import hurdle_of, is_up
from trader.core.params import Params, params_of
from trader.core.records import Attempt, Decision, HourRecord, Order, Outcome, Totals, record_of
from trader.core.risk import assess
from trader.core.types import HOUR_MS, Fill, Json, Progress, iso


@dataclass(slots=True)
class StoreCheck:
    """What was read, and every problem as `key: what is wrong`."""

    objects: int = 0
    hours: int = 0
    models: int = 0
    open_hour: str | None = None
    problems: list[str] = field(default_factory=list)


Models = dict[str, Params]


@dataclass(slots=True)
class HourObjects:
    """What lies in an hour's folder; attempts and outcomes by their number, those of sales at once apart."""

    decision: Decision | None = None
    record: HourRecord | None = None
    attempts: dict[int, Attempt] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    flattened: dict[int, Attempt] = field(default_factory=dict)
    flatten_outcomes: dict[int, Outcome] = field(default_factory=dict)


def check(journal: Journal, progress: Progress | None = None) -> StoreCheck:
    """Read everything that decides and say what is wrong. Writes probe objects only. Raises ConfigError where the store
    does not create if absent."""
    prove(journal.store)
    found = StoreCheck()
    objects = read_all(journal.store, keys_of(journal.store, f"journal/{journal.symbol}/"), progress)
    hours = _hours(journal, objects, found.problems)
    book_records = read_book_records(journal, found.problems)
    found.problems += _strangers(journal, book_records)
    for name in FORMATS:
        found.problems += check_events(journal, name)
    found.objects = len(objects)
    models = {} if found.problems else _models(journal, found.problems)
    found.models = len(models)
    if found.problems:  # what follows would only repeat them in other words
        return found
    begun = deployment(journal)
    if begun is None and hours:
        found.problems.append(
            f"state/{journal.symbol}/deployment/: missing, although hours were traded; restore it from a copy"
        )
    elif begun is not None:
        _check_run(journal, models, hours, book_records, begun.start_ms, found)
    return found


def _check_run(
    journal: Journal,
    models: Models,
    hours: dict[int, HourObjects],
    book_records: BookRecords,
    start: int,
    found: StoreCheck,
) -> None:
    before: HourRecord | None = None
    wanted = start
    for hour, there in sorted(hours.items()):
        folder = hour_folder(journal.symbol, hour)
        if hour != wanted:
            found.problems.append(
                f"{folder}: hours are missing; the next after {iso(wanted - HOUR_MS)} is this"
            )
        if there.record is not None:
            found.hours += 1
        elif hour == max(hours):
            found.open_hour = iso(hour)
        else:
            found.problems.append(f"{folder}/record: missing, although later hours were traded")
        found.problems += (f"{folder}/{said}" for said in _told(journal, models, book_records, there, before))
        before, wanted = there.record or before, hour + HOUR_MS


def _hours(journal: Journal, objects: dict[str, bytes], problems: list[str]) -> dict[int, HourObjects]:
    hours: dict[int, HourObjects] = {}
    for key, data in objects.items():
        try:
            known = _put(hours, key, data, journal.symbol)
        except TraderError as error:
            problems.append(str(error))
            continue
        if not known:
            problems.append(f"{key}: no object of a journal has this name")
    return hours


def _put(hours: dict[int, HourObjects], key: str, data: bytes, symbol: str) -> bool:
    """Read an object into its hour; False where a journal has none of this name. Raises DataError."""
    name, _, number = key.rsplit("/", 1)[1].partition("-")
    n = int(number) if number.isdecimal() else 0
    try:
        hour = hours.setdefault(hour_of_key(key), HourObjects())
    except ValueError:
        return False
    match name, n:
        case "decision", 0:
            hour.decision = DECISION.decode(key, data, symbol)
        case "record", 0:
            hour.record = RECORD.decode(key, data, symbol)
        case "attempt", _ if n:
            hour.attempts[n] = ATTEMPT.decode(key, data, symbol)
        case "outcome", _ if n:
            hour.outcomes[n] = OUTCOME.decode(key, data, symbol)
        case "flatten_attempt", _ if n:
            hour.flattened[n] = ATTEMPT.decode(key, data, symbol)
        case "flatten_outcome", _ if n:
            hour.flatten_outcomes[n] = OUTCOME.decode(key, data, symbol)
        case _:
            return False
    return True


def _strangers(journal: Journal, book_records: BookRecords) -> Iterator[str]:
    """Objects beneath `state/` that are neither this symbol's nor what an upgrade left there. Version 0.1.0, asked to halt a
    store that it does not know, writes one."""
    keys = keys_of(journal.store, "state/")
    upgraded = any(key.startswith("state/champion/") for key in keys)
    known = (
        *book_records.symbols,
        *((BOOK,) if book_records.of_book else ()),
        *(OLD_NAMES if upgraded else ()),
    )
    for key in keys:
        if key != STORE and key.split("/")[1] not in known:
            yield f"{key}: no event of {journal.symbol}; nothing reads it"


def check_events(journal: Journal, name: str) -> Iterator[str]:
    """The events of a name one by one, against what each says of those before it."""
    before: list[AnyEvent] = []
    keys = keys_of(journal.store, f"state/{journal.symbol}/{name}/")
    for number, key in enumerate(keys, start=1):
        if key != (wanted := event_key(journal.symbol, name, number)):
            yield f"{wanted}: missing, although later events are there; restore it from a copy"
            return
        try:
            event, earlier = FORMATS[name].decode_all(key, journal.store.get(key) or b"", journal.symbol)
        except TraderError as error:
            yield str(error)
            return
        if earlier is not None and list(earlier) != before:
            yield f"{key}: what it says of earlier events is not what they say"
        before.append(event)


def _models(journal: Journal, problems: list[str]) -> Models:
    """The parameters of every model that a champion event names, its bytes checked against its card, its exports against their
    proofs."""
    models: Models = {}
    for model_id in sorted({champion.model_id for champion in champions(journal)}):
        try:
            card = load_model(journal, model_id)[0]
            models[model_id] = params_of(card.params, f"models/{model_id}/card")
            problems += export_problems(journal, card)
        except TraderError as error:
            problems.append(str(error))
    return models


def _told(
    journal: Journal, models: Models, book_records: BookRecords, there: HourObjects, before: HourRecord | None
) -> Iterator[str]:
    """What is wrong with an hour."""
    decision, record = there.decision, there.record
    if decision is None:
        yield "decision: missing, although the hour has other objects"
        return
    yield from book_records.disagreements(decision)
    yield from _check_totals(journal, models, book_records, decision, before)
    fills: list[Fill] = []
    yield from _check_attempts(there, decision.order, closed=record is not None, fills=fills)
    if record is None:
        return
    said, follows = RECORD.content(record), RECORD.content(record_of(decision, fills))
    for part in follows:
        if said.get(part) != follows[part]:
            yield f"record: {part} does not follow from the decision and the outcomes"


def _check_attempts(
    there: HourObjects, order: Order | None, *, closed: bool, fills: list[Fill]
) -> Iterator[str]:
    """Attempts in one run, each under a decision with an order, each with one outcome; collects what was filled."""
    numbers = [n for n in range(1, MAX_ATTEMPTS + 1) if n in there.attempts]
    if order is None:
        if numbers:
            yield f"attempt-{numbers[0]}: there is no order to carry out"
        return
    if numbers != list(range(1, len(numbers) + 1)) or (closed and not numbers):
        yield f"attempt-{len(numbers) + 1}: missing"
    for n in numbers:
        attempt, outcome, previous = there.attempts[n], there.outcomes.get(n), there.outcomes.get(n - 1)
        if attempt.side != order.side or not _carries(attempt, order):
            yield f"attempt-{n}: another order than the decision's"
        if attempt.expires_at_ms != attempt.timestamp_ms + attempt.recv_window_ms:
            yield f"attempt-{n}: expires_at_ms is not its timestamp and window"
        if n > 1 and (previous is None or not may_follow(previous)):
            yield f"attempt-{n}: the attempt before it was not proved absent, nor refused by the filters"
        if outcome is not None:
            fills += outcome.fills
        elif closed:
            yield f"outcome-{n}: missing, although the hour is closed"
    if sum((fill.qty for fill in fills), Decimal(0)) > order.qty:
        yield "outcome: more was filled than was decided"


def _carries(attempt: Attempt, order: Order) -> bool:
    """Whether an attempt has the decided quantity, or a part of it that fits the filters that were asked again for it."""
    if attempt.filters is None:
        return attempt.qty == order.qty
    return 0 < attempt.qty <= order.qty and attempt.qty % attempt.filters.step_size == 0


def _check_totals(
    journal: Journal, models: Models, book_records: BookRecords, decision: Decision, before: HourRecord | None
) -> Iterator[str]:
    """The decision's totals are those of the hour before: its call scored, halts taken in, equity and risk marked."""
    hour, close, said = decision.close_time, decision.close, decision.totals
    params = models.get(decision.model_id)
    if params is None:
        yield f"decision: no champion event names its model {decision.model_id}"
        return
    start = (
        Totals(HourState.fresh(Decimal(0) if book_records.of_book else params.allocation_usdt))
        if before is None
        else _scored(journal, params, before, decision)
    )
    account = journal.events(ACCOUNT)[: said.account_event]
    start, adopted = adoption.taken_in(start, account, lambda name: adoption.booked_by_hour(journal, name))
    if decision.adopted != adopted:
        yield "decision: what it adopted is not what the account's events book"
    mark = said.state.mark(close)
    start = book_records.given(start, decision, mark)
    start = book_records.halted(taken_in(start, journal.events(HALT)[: said.halt_event], hour, mark), hour)
    told, follows = _parts(said), _parts(_marked(start, said.state, params, hour, mark))
    for part in follows:
        if told.get(part) != follows[part]:
            yield f"decision: {part} is {told[part]}, but {follows[part]} follows from the hour before"
    if decision.equity_before_usdt != start.state.ledger.equity(mark):
        yield "decision: equity_before_usdt is not cash and position at the close"
    if not _doubt_follows(decision, before):
        yield "decision: doubt is not about its close, or its mark is no close that was confirmed before"


def _marked(start: Totals, said: HourState, params: Params, hour: int, mark: Decimal) -> Totals:
    """The totals with an hour's risk, marked at `mark`, and the doubt that it says; an unconfirmed hour has no new risk."""
    risk = start.state.risk
    if not said.unconfirmed:
        limits = params.limits(freeze=said.risk.frozen)
        risk = assess(risk, start.state.ledger.equity(mark), hour, limits)
    return replace(start, state=replace(start.state, risk=risk, doubt=said.doubt))


def _doubt_follows(decision: Decision, before: HourRecord | None) -> bool:
    """Whether a doubt is of the decision's own close and names the last confirmed one. Whether there is one depends on a
    setting that no journal holds."""
    doubt = decision.totals.state.doubt
    earlier = None if before is None else before.totals.state.doubt
    if doubt is None or (decision.gap and doubt == earlier):
        return True
    if doubt.mark is None:
        return doubt.close == decision.close and earlier is not None
    if before is None:
        return doubt.close == doubt.mark == decision.close
    last = before.close if earlier is None else earlier.last_confirmed
    return (doubt.close, doubt.mark) == (decision.close, last)


def _parts(totals: Totals) -> Json:
    """Totals by the names that they are stored under."""
    parts: Json = TOTALS.write(totals)
    return parts


def _scored(journal: Journal, params: Params, before: HourRecord, decision: Decision) -> Totals:
    """The totals of the hour before, and the prediction that is about this hour's close scored by it."""
    totals, ahead = before.totals, params.horizon_hours
    made = before if ahead == 1 else journal.record(decision.close_time - ahead * HOUR_MS)
    p_up = None if made is None else made.line.p_up
    if made is None or p_up is None or made.gap or decision.gap:
        return totals
    rose = is_up(float(made.close), float(decision.close), hurdle_of(params))
    return replace(totals, scored=totals.scored + 1, hits=totals.hits + ((p_up >= 0.5) == rose))
