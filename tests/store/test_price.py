"""What a bucket costs: the requests of one hour of the schedule, counted, and a month of them by S3's price list."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy import Proxy, proxy_to
from tests.rig import command
from tests.s3_kit import Bucketry
from tests.store.life import address, exchange
from trader.adapters.store_local import LocalStore
from trader.app.store_care import sync
from trader.config import EMBEDDED_KEY, EMBEDDED_SECRET

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "s3.md"
HOURS_OF_A_MONTH = 744
# USD of S3 Standard: 0.005 per 1,000 PUT or LIST, 0.0004 per 1,000 GET, and a tenth more for dearer regions.
WRITE, READ = 1.1 * 0.005 / 1000, 1.1 * 0.0004 / 1000
# One hour of cron-job: the tick that trades, three that find it done, one look whether a retrain is due.
SCHEDULE = {"tick": 1, "tick, done": 3, "retrain --if-due": 1}


def kind_of(request: str) -> str:
    """PUT, LIST or GET."""
    method, path = request.split(" ", 1)
    return "LIST" if "list-type=2" in path else method


@pytest.fixture(scope="module")
def counted(
    server: Bucketry, gappy_bars: Path, begun: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Counter[str]]]:
    """The requests of each command of the schedule, in a fresh process each: the hour trades, copies are kept."""
    folder, hour = begun
    bucket, cwd = server.bucket(), tmp_path_factory.mktemp("host")
    sync(LocalStore(folder), server.store(bucket, "bot"))
    with proxy_to(server.url) as proxy, exchange(gappy_bars, hour) as served:
        store = address(server, bucket, proxy.url)
        environment = {
            "TRADER_VENUE_URL": served.url,
            "TRADER_DATA_URL": served.url,
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
        found = {}
        for name in SCHEDULE:
            proxy.counted()
            command("trader", *name.partition(",")[0].split(), cwd=cwd, **environment)
            found[name] = Counter(kind_of(request) for request in shown(proxy, name))
        yield found


def shown(proxy: Proxy, name: str) -> list[str]:
    """The requests so far, printed for who reads a failure."""
    requests = proxy.counted()
    print(name, *requests, sep="\n  ")
    return requests


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


def test_the_document_promises_no_less_than_is_counted(counted: dict[str, Counter[str]]) -> None:
    """The table of docs/s3.md bounds what the commands do, and its sum is computed from it."""
    text, told = DOCUMENT.read_text(), {}
    for name in SCHEDULE:
        row = re.search(rf"^\| {name} \| \d \| (\d+) \| (\d+) \| (\d+) \|$", text, re.M)
        assert row, name
        told[name] = Counter(dict(zip(("PUT", "LIST", "GET"), map(int, row.groups()), strict=True)))
        assert counted[name] <= told[name], name
    assert f"{usd_a_month(told):.3f} USD" in text
    assert usd_a_month(told) < 0.10
