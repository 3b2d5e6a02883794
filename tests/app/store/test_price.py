"""What a bucket costs: the requests of one hour of the schedule, counted, and a month of them by S3's price list."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.life import PARAMS, START, a_bot, address, exchange, settings_of
from tests.support.proxy import Proxy, proxy_to
from tests.support.rig import command
from tests.support.s3_kit import Bucketry
from trader.adapters.store_local import LocalStore
from trader.app.replay import replay
from trader.app.store_care import sync
from trader.app.tick import tick
from trader.config import EMBEDDED_KEY, EMBEDDED_SECRET
from trader.core.drift import DRIFT_HOURS
from trader.core.types import HOUR_MS

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "s3.md"
HOURS_OF_A_MONTH = 744
# USD of S3 Standard: 0.005 per 1,000 PUT or LIST, 0.0004 per 1,000 GET, and a tenth more for dearer regions.
WRITE, READ = 1.1 * 0.005 / 1000, 1.1 * 0.0004 / 1000
# One hour of cron-job: the tick that trades, three that find it done, one look whether a retrain is due.
SCHEDULE = {"tick": 1, "tick, done": 3, "retrain --if-due": 1}
WITH_DRIFT = "retrain --if-due, drift"


def kind_of(request: str) -> str:
    """PUT, LIST or GET."""
    method, path = request.split(" ", 1)
    return "LIST" if "list-type=2" in path else method


def host(url: str, store: dict[str, str], server: Bucketry, cwd: Path) -> dict[str, str]:
    """The environment of a host whose exchange and store are at these addresses."""
    return {
        "TRADER_VENUE_URL": url,
        "TRADER_DATA_URL": url,
        "TRADER_API_KEY": EMBEDDED_KEY,
        "TRADER_API_SECRET": EMBEDDED_SECRET,
        "TRADER_TRACKERS": "none",
        "TRADER_COPIES": "true",
        "TRADER_BARS": str(cwd / "bars"),
        "TRADER_STORE": store["store"],
        "TRADER_S3_ENDPOINT_URL": store["s3_endpoint_url"],
        "TRADER_S3_REGION": store["s3_region"],
        **server.environment,
    }


@pytest.fixture(scope="module")
def counted(
    server: Bucketry, gappy_bars: Path, begun: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Counter[str]]]:
    """The requests of each command of the schedule, in a fresh process each: the hour trades, copies are kept."""
    folder, hour = begun
    bucket, cwd = server.bucket(), tmp_path_factory.mktemp("host")
    sync(LocalStore(folder), server.store(bucket, "bot"))
    with proxy_to(server.url) as proxy, exchange(gappy_bars, hour) as served:
        environment = host(served.url, address(server, bucket, proxy.url), server, cwd)
        found = {}
        for name in SCHEDULE:
            proxy.counted()
            command("trader", *name.partition(",")[0].split(), cwd=cwd, check=True, **environment)
            found[name] = Counter(kind_of(request) for request in shown(proxy, name))
        yield found


@pytest.fixture(scope="module")
def with_drift(server: Bucketry, gappy_bars: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The requests of a look that includes drift, in a bot that has traded longer than drift looks back, an hour after
    another such look."""
    folder, bucket = tmp_path_factory.mktemp("drifting"), server.bucket()
    last = START + (DRIFT_HOURS + 1) * HOUR_MS
    look = ("trader", "retrain", "--if-due", "--json")
    with proxy_to(server.url) as proxy, exchange(gappy_bars, START - HOUR_MS) as served:
        with a_bot(settings_of(served.url, store=folder / "store")) as (bot, clock):
            replay(bot, clock, PARAMS, START, last)
            sync(bot.journal.store, server.store(bucket, "bot"))
        rules = {
            "TRADER_DRIFT": "psi,ks,calibration",
            "TRADER_RETUNE_TRIALS": "0",
            "TRADER_BREACH_NET_RETURN": "-0.9",
        }
        environment = host(served.url, address(server, bucket, proxy.url), server, folder) | rules
        command(*look, cwd=folder, check=True, **environment)
        reads = [request for request in shown(proxy, "the first look") if request.endswith("/record")]
        assert len(reads) > DRIFT_HOURS
        with a_bot(settings_of(served.url, **address(server, bucket))) as (bot, clock):
            clock.move_to(last)
            assert tick(bot).outcome == "traded"
        done = command(*look, cwd=folder, check=True, **environment)
        assert done.stdout == '{"retrained": false}\n'
        return shown(proxy, WITH_DRIFT)


def shown(proxy: Proxy, name: str) -> list[str]:
    """The requests so far, printed for who reads a failure."""
    requests = proxy.counted()
    print(name, *requests, sep="\n  ")
    return requests


def bounds(name: str) -> Counter[str]:
    """What the table of docs/s3.md promises for a command."""
    row = re.search(rf"^\| {name} \| \d \| (\d+) \| (\d+) \| (\d+) \|$", DOCUMENT.read_text(), re.M)
    assert row, name
    return Counter(dict(zip(("PUT", "LIST", "GET"), map(int, row.groups()), strict=True)))


def usd_a_month(counted: dict[str, Counter[str]]) -> float:
    """Every hour of the longest month as dear as this one."""
    hour = 0.0
    for name, times in SCHEDULE.items():
        kinds = counted[name]
        hour += times * ((kinds["PUT"] + kinds["LIST"]) * WRITE + kinds["GET"] * READ)
    return hour * HOURS_OF_A_MONTH


def test_a_month_of_trading_every_hour_costs_less_than_ten_cents(counted: dict[str, Counter[str]]) -> None:
    """An order in each hour, copies and all: below 0.10 USD."""
    assert counted["tick"]["PUT"] >= 4 + 2
    assert 0.01 < usd_a_month(counted) < 0.10


def test_a_look_at_drift_reads_one_object_and_not_a_week_of_records(with_drift: list[str]) -> None:
    """The document bounds the requests of such a look and says what a month of them costs."""
    assert [kind_of(request) for request in with_drift if "/caches/" in request] == ["GET", "PUT"]
    told = bounds(WITH_DRIFT)
    assert Counter(kind_of(request) for request in with_drift) <= told
    without = {name: bounds(name) for name in SCHEDULE}
    dearer = usd_a_month({**without, "retrain --if-due": told}) - usd_a_month(without)
    assert f"{dearer:.3f} USD more" in DOCUMENT.read_text()


def test_the_document_promises_no_less_than_is_counted(counted: dict[str, Counter[str]]) -> None:
    """The table of docs/s3.md bounds what the commands do, and its sum is computed from it."""
    told = {name: bounds(name) for name in SCHEDULE}
    for name in SCHEDULE:
        assert counted[name] <= told[name], name
    assert f"{usd_a_month(told):.3f} USD at" in DOCUMENT.read_text()
    assert usd_a_month(told) < 0.10
