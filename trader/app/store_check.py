"""Whether a journal holds together: every object readable, hours in one run, totals that follow from line to line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from trader.app.halts import taken_in
from trader.app.journal import (
    ATTEMPT,
    DECISION,
    OUTCOME,
    RECORD,
    Journal,
    Json,
    event_key,
    hour_folder,
    hour_of_key,
)
from trader.app.layout import OLD_NAMES, STORE, keys_of
from trader.app.objects import Totals, read_fill, read_totals, write_record, write_totals
from trader.app.orders import ABSENT, MAX_ATTEMPTS
from trader.app.retrain import champions, deployment, load_model
from trader.app.store_care import prove, read_all
from trader.core.errors import TraderError
from trader.core.hours import State
from trader.core.params import Params, params_of
from trader.core.risk import assess
from trader.core.types import HOUR_MS, Progress, iso

SCHEMAS = {"decision": DECISION, "attempt": ATTEMPT, "outcome": OUTCOME, "record": RECORD}
EVENTS = ("deployment", "champion", "halt", "breach", "study")


@dataclass(slots=True)
class Checked:
    """What was read, and every problem as `key: what is wrong`."""

    objects: int = 0
    hours: int = 0
    models: int = 0
    open_hour: str | None = None
    problems: list[str] = field(default_factory=list)


Models = dict[str, Params]
Hour = dict[str, Json]  # an hour's objects by their last part: decision, attempt-1, outcome-1, record


def check(journal: Journal, progress: Progress | None = None) -> Checked:
    """Read everything that decides and say what is wrong. Writes probe objects only. Raises ConfigError where the store
    does not create if absent."""
    prove(journal.store)
    found = Checked()
    objects = read_all(journal.store, keys_of(journal.store, f"journal/{journal.symbol}/"), progress)
    hours = _hours(journal, objects, found.problems)
    found.problems += _strangers(journal)
    for name in EVENTS:
        found.problems += _check_events(journal, name)
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
        _check_run(journal, models, hours, begun.start, found)
    return found


def _check_run(journal: Journal, models: Models, hours: dict[int, Hour], start: int, found: Checked) -> None:
    before: Json | None = None
    wanted = start
    for hour, there in sorted(hours.items()):
        folder = hour_folder(journal.symbol, hour)
        if hour != wanted:
            found.problems.append(
                f"{folder}: hours are missing; the next after {iso(wanted - HOUR_MS)} is this"
            )
        if "record" in there:
            found.hours += 1
        elif hour == max(hours):
            found.open_hour = iso(hour)
        else:
            found.problems.append(f"{folder}/record: missing, although later hours were traded")
        found.problems += (f"{folder}/{said}" for said in _told(journal, models, there, before))
        before, wanted = there.get("record", before), hour + HOUR_MS


def _hours(journal: Journal, objects: dict[str, bytes], problems: list[str]) -> dict[int, Hour]:
    hours: dict[int, Hour] = {}
    for key, data in objects.items():
        name = key.rsplit("/", 1)[1]
        schema = SCHEMAS.get(name.partition("-")[0])
        try:
            hour = hour_of_key(key)
        except ValueError:
            schema = None
        if schema is None:
            problems.append(f"{key}: no object of a journal has this name")
            continue
        try:
            hours.setdefault(hour, {})[name] = journal.decode(key, data, schema)
        except TraderError as error:
            problems.append(str(error))
    return hours


def _strangers(journal: Journal) -> Iterator[str]:
    """Objects beneath `state/` that are neither this symbol's nor what an earlier version left there."""
    for key in keys_of(journal.store, "state/"):
        if key != STORE and key.split("/")[1] not in (journal.symbol, *OLD_NAMES):
            yield f"{key}: no event of {journal.symbol}"


def _check_events(journal: Journal, name: str) -> Iterator[str]:
    """The events of a name one by one, against what each says of those before it."""
    earlier: list[Json] = []
    keys = keys_of(journal.store, f"state/{journal.symbol}/{name}/")
    for number, key in enumerate(keys, start=1):
        if key != (wanted := event_key(journal.symbol, name, number)):
            yield f"{wanted}: missing, although later events are there; restore it from a copy"
            return
        try:
            content = journal.read(key, f"{name}/1") or {}
        except TraderError as error:
            yield str(error)
            return
        if content.pop("earlier", earlier) != earlier:
            yield f"{key}: what it says of earlier events is not what they say"
        earlier.append(content)


def _models(journal: Journal, problems: list[str]) -> Models:
    """The parameters of every model that a champion event names, its bytes checked against its card."""
    models: Models = {}
    for model_id in sorted({champion.model_id for champion in champions(journal)}):
        try:
            models[model_id] = params_of(load_model(journal, model_id)[0].params, f"models/{model_id}/card")
        except TraderError as error:
            problems.append(str(error))
    return models


def _told(journal: Journal, models: Models, there: Hour, before: Json | None) -> list[str]:
    """What is wrong with an hour; an object that lacks what it must hold is one more problem, not an end."""
    try:
        return [*_check_hour(journal, models, there, before)]
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        return [f": an object lacks what it must hold ({type(error).__name__}: {error})"]


def _check_hour(journal: Journal, models: Models, there: Hour, before: Json | None) -> Iterator[str]:
    decision, record = there.get("decision"), there.get("record")
    if decision is None:
        yield "decision: missing, although the hour has other objects"
        return
    yield from _check_totals(journal, models, decision, before)
    fills: list[Json] = []
    yield from _check_attempts(there, decision, closed=record is not None, fills=fills)
    if record is None:
        return
    wanted = write_record(decision, [read_fill(row) for row in fills])
    for part, value in wanted.items():
        if record.get(part) != value:
            yield f"record: {part} does not follow from the decision and the outcomes"


def _check_attempts(there: Hour, decision: Json, *, closed: bool, fills: list[Json]) -> Iterator[str]:
    """Attempts in one run, each under a decision with an order, each with one outcome; collects what was filled."""
    numbers = [n for n in range(1, MAX_ATTEMPTS + 1) if f"attempt-{n}" in there]
    order = decision["order"]
    if order is None:
        if numbers:
            yield f"attempt-{numbers[0]}: there is no order to carry out"
        return
    if numbers != list(range(1, len(numbers) + 1)) or (closed and not numbers):
        yield f"attempt-{len(numbers) + 1}: missing"
    for n in numbers:
        attempt, outcome = there[f"attempt-{n}"], there.get(f"outcome-{n}")
        if (attempt["side"], attempt["qty"]) != (order["side"], order["qty"]):
            yield f"attempt-{n}: another order than the decision's"
        if attempt["horizon_ms"] != attempt["timestamp_ms"] + attempt["recv_window_ms"]:
            yield f"attempt-{n}: its horizon is not its timestamp and window"
        if n > 1 and there.get(f"outcome-{n - 1}", {}).get("kind") != ABSENT:
            yield f"attempt-{n}: the attempt before it was not proved absent"
        if outcome is None:
            if closed:
                yield f"outcome-{n}: missing, although the hour is closed"
            continue
        fills += outcome["fills"]
    if sum((Decimal(row["qty"]) for row in fills), Decimal(0)) > Decimal(order["qty"]):
        yield "outcome: more was filled than was decided"


def _check_totals(journal: Journal, models: Models, decision: Json, before: Json | None) -> Iterator[str]:
    """The decision's totals are those of the hour before: its call scored, halts taken in, equity and risk marked."""
    hour, close, said = decision["close_time"], Decimal(decision["close"]), read_totals(decision["state"])
    params = models.get(decision["model_id"])
    if params is None:
        yield f"decision: no champion event names its model {decision['model_id']}"
        return
    start = Totals(State.fresh(params.allocation_usdt)) if before is None else _scored(before, decision)
    events = journal.events("halt")[start.halt_event : said.halt_event]
    start = taken_in(start, events, hour, close)
    equity = start.state.ledger.equity(close)
    limits = params.limits(freeze=said.state.risk.frozen)
    wanted = replace(start, state=replace(start.state, risk=assess(start.state.risk, equity, hour, limits)))
    told, follows = write_totals(said), write_totals(wanted)
    for part in follows:
        if told[part] != follows[part]:
            yield f"decision: {part} is {told[part]}, but {follows[part]} follows from the hour before"
    if Decimal(decision["equity_before"]) != equity:
        yield "decision: equity_before is not cash and position at the close"


def _scored(before: Json, decision: Json) -> Totals:
    """The totals of the hour before, its call scored by this hour's close."""
    totals, p_up = read_totals(before["state"]), before["line"]["p_up"]
    if p_up is None or before["gap"] or decision["gap"]:
        return totals
    rose = float(decision["close"]) > float(before["close"])
    return replace(totals, scored=totals.scored + 1, hits=totals.hits + ((p_up >= 0.5) == rose))
