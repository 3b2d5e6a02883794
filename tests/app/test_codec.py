"""Typed records and their bytes: nothing is lost on the way, and nothing is taken for what it is not."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drawn_records import EVENTS, NO_MONEY, NOTES, OBJECTS, SYMBOL
from tests.support.examples import share_of
from trader.app import codec, codec_events
from trader.app.codec_events import FORMATS
from trader.app.fields import MONEY, InvalidField, shape
from trader.app.stored import EventFormat, Format
from trader.core.errors import DataError
from trader.core.events import ChampionEvent, DeploymentEvent, HaltEvent, ResumeEvent
from trader.core.records import Balances
from trader.core.types import HOUR_MS

VERSION1 = json.loads(Path(__file__).with_name("version1.json").read_text())
KEY = "journal/BTCUSDT/2021/03/05T00/object"
ALL = [pytest.param(fmt, values, id=fmt.name) for fmt, values in (*OBJECTS, *EVENTS)]
WRONG: dict[type, tuple[Any, ...]] = {
    str: (1, True, [], {}),
    int: (True, "1", 1.5, float("nan"), []),
    float: (True, "0.5", float("nan"), float("inf"), []),
    bool: (1, 0, "true", None),
    type(None): (True, [], {"odd": 1}),
    list: ({}, "", None),
    dict: ([], "", 1),
}
# Objects whose keys are names of their own: any may be missing.
FREE = {"features"}
# Keys that came later: an object without one is as an earlier version wrote it.
LATER = {
    "market",
    "retrain_rule",
    "doubt",
    "account_event",
    "adopted",
    "requantise",
    "filters",
    "other_asset",
    "other_amount",
    "other_price",
}
Path_ = tuple[Any, ...]


def paths(value: Any, here: Path_ = ()) -> Iterator[Path_]:
    """The way to every value within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield (*here, name)
        yield from paths(item, (*here, name))


def at(value: Any, path: Path_) -> Any:
    """What lies there."""
    for name in path:
        value = value[name]
    return value


def refused(fmt: Format[Any], content: Any, field: str) -> None:
    """Reading it names key and field, and says what to do."""
    with pytest.raises(DataError) as caught:
        fmt.decode(KEY, json.dumps(content).encode(), SYMBOL)
    said = str(caught.value)
    assert said.startswith(KEY), said
    assert field in said, (field, said)
    assert "estore" in said


@pytest.mark.parametrize(("fmt", "values"), ALL)
@settings(max_examples=share_of(30))
@given(data=st.data())
def test_what_is_written_is_read(fmt: Format[Any], values: st.SearchStrategy, data: st.DataObject) -> None:
    """decode(encode(x)) is x, and equal objects have equal bytes with sorted keys."""
    value = data.draw(values)
    written = fmt.encode(value, "0f" * 8)
    assert fmt.decode(KEY, written, SYMBOL) == value
    assert fmt.encode(fmt.decode(KEY, written, SYMBOL), "0f" * 8) == written
    content = json.loads(written)
    assert list(content) == sorted(content)
    assert (content["schema"], content["symbol"]) == (f"{fmt.name}/2", SYMBOL)


@pytest.mark.parametrize(("fmt", "values"), [pytest.param(*pair, id=pair[0].name) for pair in EVENTS])
@settings(max_examples=share_of(30))
@given(data=st.data())
def test_an_event_carries_those_before_it(
    fmt: EventFormat[Any], values: st.SearchStrategy, data: st.DataObject
) -> None:
    """They come back as they were, without a writer's token."""
    event, earlier = data.draw(values), tuple(data.draw(st.lists(values, max_size=3)))
    written = fmt.encode_after(event, "0f" * 8, earlier)
    assert fmt.decode_all(KEY, written, SYMBOL) == (event, earlier)
    assert fmt.decode_all(KEY, fmt.encode(event, "1"), SYMBOL) == (event, None)


@pytest.mark.parametrize(("fmt", "values"), [pytest.param(*pair, id=pair[0].name) for pair in NOTES])
@settings(max_examples=share_of(30))
@given(data=st.data())
def test_a_note_comes_back_or_is_none(fmt: Any, values: st.SearchStrategy, data: st.DataObject) -> None:
    """A note that is whole is read, one with a damaged value is as good as absent."""
    value = data.draw(values)
    written = fmt.encode(value)
    assert fmt.decode(written) == value
    content = json.loads(written)
    where = data.draw(st.sampled_from([path for path in paths(content) if path[-1] not in FREE]))
    at(content, where[:-1])[where[-1]] = data.draw(st.sampled_from(WRONG[type(at(content, where))]))
    assert fmt.decode(json.dumps(content).encode()) is None
    assert fmt.decode(None) is None


@pytest.mark.parametrize(("fmt", "values"), ALL)
@settings(max_examples=share_of(30))
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_a_damaged_object_is_named(
    fmt: Format[Any], values: st.SearchStrategy, data: st.DataObject, seed: int
) -> None:
    """A field that is missing, that is none of its object's, or of the wrong type, is a DataError with key and field."""
    content = json.loads(fmt.encode(data.draw(values), "0f" * 8))
    draw = random.Random(seed)
    where = draw.choice([path for path in paths(content) if path[0] != "schema"])
    holder, name = at(content, where[:-1]), where[-1]
    shown = str(name) if isinstance(name, str) else str(where[-2])
    what = draw.choice(["wrong", "missing", "extra"])
    if what == "wrong" or isinstance(holder, list) or where[-2:-1] == ("features",):
        holder[name] = draw.choice(WRONG[type(holder[name])])
    elif what == "missing" and name not in LATER:
        del holder[name]
    else:
        holder["surely_no_field"], shown = 1, "surely_no_field"
    refused(fmt, content, shown)


@pytest.mark.parametrize("wrong", NO_MONEY)
def test_money_is_plain_text(wrong: str) -> None:
    """Nothing but a plain decimal is an amount: no exponent, no NaN, no separators, no other digits."""
    content = json.loads(codec.RECORD.encode(stored("record"), "1"))
    for path in (("totals", "cash_usdt"), ("line", "equity"), ("fills", 0, "price"), ("close",)):
        damaged = json.loads(json.dumps(content))
        at(damaged, path[:-1])[path[-1]] = wrong
        refused(codec.RECORD, damaged, path[-1])


@pytest.mark.parametrize(
    ("fmt", "path", "wrong"),
    [
        (codec.DECISION, ("target",), "sideways"),
        (codec.DECISION, ("order", "side"), "buy"),
        (codec.OUTCOME, ("kind",), "lost"),
        (codec.OUTCOME, ("fills", 0, "commission_in"), "BNB"),
        (codec.RECORD, ("line", "close_time"), "2021-03-05"),
        (codec.RECORD, ("line", "close_time"), "2021-03-05T00:30:00Z"),
        (codec.DECISION, ("enter_edge",), 10**400),
    ],
)
def test_unknown_words_are_refused(fmt: Format[Any], path: Path_, wrong: Any) -> None:
    """A word that no field of this kind may hold is named with its field."""
    content = json.loads(fmt.encode(stored(fmt.name), "1"))
    at(content, path[:-1])[path[-1]] = wrong
    refused(fmt, content, path[-1])


def test_an_event_of_an_unknown_kind_is_refused() -> None:
    """What is neither a halt nor a resume stops nothing and starts nothing."""
    content = json.loads(codec_events.HALT.encode(HaltEvent(SYMBOL, 1, "person", False, "person"), "1"))
    refused(codec_events.HALT, {**content, "kind": "pause"}, "kind")
    refused(codec_events.HALT, {**content, "earlier": {}}, "earlier")
    with pytest.raises(DataError, match="earlier: at_ms is missing"):
        codec_events.HALT.decode_all(KEY, damaged_earlier(content), SYMBOL)


def damaged_earlier(content: dict[str, Any]) -> bytes:
    """A halt that carries an earlier one without a time."""
    before = {k: v for k, v in content.items() if k not in ("schema", "token", "at_ms")}
    return json.dumps({**content, "earlier": [before]}).encode()


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"null", b'{"schema": 2}', b"[" * 100_000, b"\xff"])
def test_what_is_no_object_is_named(data: bytes) -> None:
    """Bytes that hold no object of this schema name their key."""
    with pytest.raises(DataError, match=rf"^{KEY} does not hold 'record/2'.*restore it from a copy"):
        codec.RECORD.decode(KEY, data, SYMBOL)


@pytest.mark.parametrize("schema", ["record/3", "decision/2", "record", ""])
def test_another_schema_is_refused(schema: str) -> None:
    """Of another version, or another object's."""
    content = json.loads(codec.RECORD.encode(stored("record"), "1"))
    refused(codec.RECORD, {**content, "schema": schema}, "record/2")


def test_another_symbols_object_is_refused() -> None:
    """An object that names ETHUSDT at a key of BTCUSDT: both are named, and the way out."""
    written = codec.RECORD.encode(stored("record"), "1")
    with pytest.raises(
        DataError, match=rf"^{KEY} holds an object of BTCUSDT, its key is one of ETHUSDT.*Restore"
    ):
        codec.RECORD.decode(KEY, written, "ETHUSDT")
    with pytest.raises(DataError, match="holds an object of BTCUSDT, its key is one of ETHUSDT"):
        codec_events.DEPLOYMENT.decode(
            KEY, json.dumps(VERSION1["state/deployment/000001"]).encode(), "ETHUSDT"
        )


def stored(name: str) -> Any:
    """A typed object of an hour with an order, out of a store of version 1."""
    formats: dict[str, Format[Any]] = {
        "decision": codec.DECISION,
        "outcome": codec.OUTCOME,
        "record": codec.RECORD,
        "attempt": codec.ATTEMPT,
    }
    key, content = next((k, v) for k, v in VERSION1.items() if v["schema"] == f"{name}/1")
    return formats[name].decode(key, json.dumps(content).encode(), SYMBOL)


def test_an_hour_of_version_1_is_read() -> None:
    """Decision, attempt, outcome and record of a store that an earlier program wrote say what they said."""
    decision, attempt, outcome, record = map(stored, ("decision", "attempt", "outcome", "record"))
    assert {made.symbol for made in (decision, attempt, outcome, record)} == {SYMBOL}
    assert decision.deadline_ms == decision.close_time + HOUR_MS // 6
    assert attempt.expires_at_ms == attempt.timestamp_ms + attempt.recv_window_ms
    assert (decision.order.qty, attempt.qty) == (outcome.fills[0].qty, record.line.order_qty)
    assert outcome.message == "FILLED"
    assert record.totals.state.entered_at == decision.close_time == record.line.close_time
    assert record.line.equity == record.equity_usdt


def test_events_of_version_1_become_version_2() -> None:
    """Each is rewritten to the same bytes whoever does it, and carries its earlier ones along."""
    found: dict[str, tuple[Any, Any]] = {}
    for key, content in VERSION1.items():
        name = key.split("/")[1]
        if not key.startswith("state/"):
            continue
        data = json.dumps(content).encode()
        made = FORMATS[name].upgraded(key, data, SYMBOL)
        assert made == FORMATS[name].upgraded(key, made, SYMBOL)
        assert json.loads(made)["token"] == content["token"]
        found[name] = FORMATS[name].decode_all(key, made, SYMBOL)
    assert found["deployment"] == (DeploymentEvent(SYMBOL, 1_614_902_400_000), ())
    second, (first,) = found["champion"]
    assert isinstance(second, ChampionEvent)
    assert (first.cause, second.cause, second.card_sha256) == ("first", "calendar", "")
    resumed, (halted,) = found["halt"]
    assert (type(halted), type(resumed)) == (HaltEvent, ResumeEvent)
    assert (halted.message, resumed.message) == ("looked odd", "was not")
    assert found["breach"][0].reason.startswith("net return of 168 h")
    assert found["study"][0].study_id == "20210308T00-1f2e3d4c5b6a"


def test_a_key_that_came_later_is_absent_where_it_says_nothing() -> None:
    """What was written before the key was known is read with the value that its absence means, and stays the same bytes;
    any other value is written and read; nothing else is taken for it."""
    kind = shape(Balances, {"base": MONEY}, {"quote": (MONEY, Decimal(0))})
    assert kind.read({"base": "1"}) == Balances(Decimal(1), Decimal(0))
    assert kind.write(Balances(Decimal(1), Decimal(0))) == {"base": "1"}
    assert kind.read({"base": "1", "quote": "2"}) == Balances(Decimal(1), Decimal(2))
    assert kind.write(Balances(Decimal(1), Decimal(2))) == {"base": "1", "quote": "2"}
    for wrong, why in (
        ({"base": "1", "qoute": "2"}, "is no field"),
        ({"quote": "2"}, "is missing"),
        ({"base": "1", "quote": 2}, "must be a decimal"),
    ):
        with pytest.raises(InvalidField, match=why):
            kind.read(wrong)
