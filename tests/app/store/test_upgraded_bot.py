"""The bot of an upgraded store trades on as version 0.1.0 would have, and version 0.1.0 trades there no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.app.store.make_old_store import HOURS as TRADED
from tests.app.store.make_old_store import START
from tests.app.store.old_program import at_venue, old_lines, old_store, old_trader
from tests.support.life import a_bot, address, settings_of
from tests.support.rig import Venue, command, venue
from tests.support.rig_bars import made_bars
from tests.support.s3_kit import Bucketry
from tests.support.verbs import held
from trader.adapters.store_local import LocalStore
from trader.app.journal import Journal
from trader.app.store_care import sync
from trader.app.store_check import check
from trader.app.store_upgrade import upgrade
from trader.app.tick import tick
from trader.core.errors import Retry
from trader.core.types import HOUR_MS, iso

NEXT = START + TRADED * HOUR_MS  # the first hour that the old program did not trade
HOURS = 30  # over the four hours in which the venue is shut
IN_DOUBT = [
    {"name": "the post", "method": "POST", "path": "/api/v3/order", "nth": 1, "phase": "after", "action": "reset"},
    {"method": "GET", "path": "/api/v3/order", "since": "the post", "action": "reply", "status": 503},
]  # fmt: skip  # read as a table


@contextmanager
def exchange_of(folder: Path, bars: Path) -> Iterator[Venue]:
    """The exchange of an old store's folder, with the orders and balances that it remembers."""
    with venue(folder, bars, START - HOUR_MS, "--state", "venue.jsonl") as made:
        yield made


def lines_of(store: dict[str, Any], cwd: Path, **environment: str) -> list[str]:
    """The journal's lines from NEXT on."""
    place = ("--store", str(store["store"]), "--from", iso(NEXT))
    return command(
        "trader", "journal", "--jsonl", *place, cwd=cwd, check=True, **environment
    ).stdout.splitlines()


def trade_on(url: str, store: dict[str, Any], hours: int = HOURS) -> None:
    """Tick each hour from NEXT on, as the schedule would."""
    with a_bot(settings_of(url, **store)) as (bot, clock):
        for hour in range(NEXT, NEXT + hours * HOUR_MS, HOUR_MS):
            clock.move_to(hour)
            with suppress(Retry):
                tick(bot)


@pytest.fixture(scope="module")
def would_have(
    program: Path, old_market: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], list[dict[str, Any]]]:
    """What version 0.1.0 makes of the next hours in a store that was never upgraded: lines and executed orders."""
    folder = old_store(tmp_path_factory.mktemp("never-upgraded")).parent
    with exchange_of(folder, old_market) as served:
        lines = old_lines(program, folder, served.url, NEXT, HOURS)
        orders = served.ledger()
    assert len(lines) > HOURS - 6
    sides = [json.loads(line)["order_side"] for line in lines]
    assert {"BUY", "SELL"} < set(sides)
    return lines, orders


def test_it_trades_on_in_a_folder(
    old: Path, old_market: Path, would_have: tuple[list[str], list[dict[str, Any]]]
) -> None:
    """Thirty hours with orders and a shut venue: the lines and the orders of version 0.1.0, and a journal that holds
    together from its first hour on."""
    store = LocalStore(old / "state", durable=False)
    assert upgrade(store, "BTCUSDT").warnings == []
    lines, orders = would_have
    with exchange_of(old, old_market) as served:
        trade_on(served.url, {"store": old / "state"})
        assert [_shape(order) for order in served.ledger()] == [_shape(order) for order in orders]
    assert lines_of({"store": old / "state"}, old) == lines
    found = check(Journal(store, "BTCUSDT"))
    assert (found.problems, found.hours) == ([], TRADED + len(lines))


def test_it_trades_on_in_a_bucket(
    old: Path, old_market: Path, server: Bucketry, would_have: tuple[list[str], list[dict[str, Any]]]
) -> None:
    """The same in S3, upgraded there by the command."""
    bucket = server.bucket()
    sync(LocalStore(old / "state"), server.store(bucket, "bot"))
    place = address(server, bucket)
    found = {
        "TRADER_STORE": place["store"],
        "TRADER_S3_ENDPOINT_URL": place["s3_endpoint_url"],
        "TRADER_S3_REGION": place["s3_region"],
        **server.environment,
    }
    assert command("trader", "status", cwd=old, check=False, **found).returncode == 2
    told = json.loads(command("trader", "store", "upgrade", "--json", cwd=old, check=True, **found).stdout)
    assert (told["needed"], told["models"], told["events"]) == (True, 3, 9)
    with exchange_of(old, old_market) as served:
        trade_on(served.url, place, 12)
    assert lines_of(place, old, **found) == would_have[0][:12]
    assert "0 problems" in command("trader", "store", "verify", cwd=old, check=True, **found).stdout


def test_the_old_program_trades_no_more(old: Path, old_market: Path, program: Path) -> None:
    """After the upgrade version 0.1.0 ends with 2 at a tick, a training and a halt: no order, and no object written."""
    upgrade(LocalStore(old / "state", durable=False), "BTCUSDT")
    before = held(old / "state")
    with exchange_of(old, old_market) as served:
        served.move_to(NEXT)
        orders = served.ledger()
        for words, key in (
            (("tick",), "state/champion/000005"),
            (("retrain", "--params", "P.json"), "state/champion/000005"),
            (("halt", "--reason", "x"), "state/halt/000003"),
        ):
            done = old_trader(program, *words, cwd=old, check=False, **at_venue(served.url))
            assert (done.returncode, key in done.stderr) == (2, True), done.stdout + done.stderr
        assert served.ledger() == orders
    assert held(old / "state") == before


def test_an_order_in_doubt_is_closed_by_the_new_program(
    old: Path, old_market: Path, program: Path, would_have: tuple[list[str], list[dict[str, Any]]]
) -> None:
    """Version 0.1.0 sent an order, heard nothing and was stopped: after the upgrade the next tick finds that order, sends
    none, and the hour's line is the one that would have been."""
    lines = would_have[0]
    n = next(n for n, line in enumerate(lines) if json.loads(line)["order_side"])
    with exchange_of(old, old_market) as served:
        assert old_lines(program, old, served.url, NEXT, n) == lines[:n]
        orders = len(served.ledger())
        served.sim("/sim/faults", IN_DOUBT)
        served.move_to(NEXT + n * HOUR_MS)
        assert old_trader(program, "tick", cwd=old, check=False, **at_venue(served.url)).returncode == 3
        assert len(served.ledger()) == orders + 1
        served.sim("/sim/faults", [])
        upgrade(LocalStore(old / "state", durable=False), "BTCUSDT")
        with a_bot(settings_of(served.url, store=old / "state")) as (bot, _):
            assert check(bot.journal).open_hour == iso(NEXT + n * HOUR_MS)
            assert tick(bot).outcome == "traded"
            assert check(bot.journal).problems == []
        assert len(served.ledger()) == orders + 1
    assert lines_of({"store": old / "state"}, old) == lines[: n + 1]


def test_hours_of_another_symbol_are_left_and_said(old: Path, program: Path) -> None:
    """Version 0.1.0 traded ETHUSDT in the store of BTCUSDT. The upgrade counts those hours, says what they left in the
    account, and leaves them; no verb of ETHUSDT opens the store."""
    bars = made_bars(old, "2019-11-01", "2021-03-20", symbol="ETHUSDT", price=1_800.0, seed=2)
    with venue(old, bars, NEXT) as served:
        for hour in range(NEXT, NEXT + 12 * HOUR_MS, HOUR_MS):
            served.move_to(hour)
            old_trader(program, "tick", "--symbol", "ETHUSDT", cwd=old, check=True, **at_venue(served.url))
            if served.ledger():
                break
        assert len(served.ledger()) == 1
        balances = served.sim("/sim/balances")
    told = command("trader", "store", "upgrade", cwd=old)
    hours = TRADED + (hour - NEXT) // HOUR_MS + 1
    assert f"{hours} hours of ETHUSDT lie in this store, traded by the models of BTCUSDT" in told.stderr
    assert (
        f"they held {Decimal(balances['ETH']['free']).normalize():f} of ETHUSDT's base asset" in told.stderr
    )
    done = command("trader", "status", "--symbol", "ETHUSDT", cwd=old, check=False)
    assert (done.returncode, "this store belongs to BTCUSDT" in done.stderr) == (2, True)
    assert (
        "46 hours, 120 objects, 3 models, 0 problems" in command("trader", "store", "verify", cwd=old).stdout
    )


MEETS_A_CHAMPION = (
    ("tick",),
    ("tick", "--dry"),
    ("retrain", "--params", "P.json"),
    ("retrain", "--if-due"),
    ("explain",),
    ("status",),
    ("dashboard", "--out", "page"),
    ("models", "list"),
    ("models", "card", "20210306T00"),
    ("models", "rollback", "20210306T00", "--reason", "x"),
)


def test_no_model_serves_a_symbol_that_its_card_does_not_name(old: Path, old_market: Path) -> None:
    """Models of another symbol, copied into this store by hand: every verb that meets the champion ends with 2, names model
    and symbols, orders nothing and writes nothing but the page's cache, which each version makes anew."""
    store = LocalStore(old / "state", durable=False)
    upgrade(store, "BTCUSDT")
    for key in store.list("models/"):
        if key.endswith("/card"):
            store.put(key, (store.get(key) or b"").replace(b'"BTCUSDT"', b'"ETHUSDT"'))
    before = deciding(store)
    with exchange_of(old, old_market) as served:
        served.move_to(NEXT)
        orders = served.ledger()
        for words in MEETS_A_CHAMPION:
            done = served.trader(*words, check=False)
            assert done.returncode == 2, (words, done.stdout + done.stderr)
            assert "ETHUSDT" in done.stderr
            assert "models/20210306T00-418c0526761f" in done.stderr, (words, done.stderr)
        assert served.ledger() == orders
    assert deciding(store) == before


def deciding(store: LocalStore) -> dict[str, bytes | None]:
    """Every object but the pages' caches."""
    return {key: data for key, data in held(store).items() if not key.startswith("pages/")}


def _shape(order: dict[str, Any]) -> dict[str, Any]:
    """An order without what follows from the moment at which a client asked."""
    return {key: order[key] for key in ("clientOrderId", "side", "origQty", "executedQty") if key in order}
