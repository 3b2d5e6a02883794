"""What the bot does on every S3 server that it may run on. A test module subclasses and provides `server`, and the
fixtures of tests/app/store/conftest.py."""

from __future__ import annotations

import json
import shutil
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.doom import killed, racer
from tests.support.forked import crew
from tests.support.life import HOURS, START, a_bot, address, exchange, settings_of
from tests.support.proxy import Fault, proxy_to
from tests.support.rig import command, quick_params
from tests.support.s3_kit import Bucketry
from trader.adapters.store_local import LocalStore
from trader.adapters.store_s3 import S3Store
from trader.app.codec_events import HALT
from trader.app.halts import announce, resume
from trader.app.journal import Journal
from trader.app.retrain import champions
from trader.app.store_care import sync
from trader.app.store_check import check
from trader.app.tick import tick
from trader.core.errors import TraderError
from trader.core.records import HourRecord
from trader.core.types import HOUR_MS
from trader.exchange.server import EmbeddedExchange

WRITERS = 8
MOST_REQUESTS = 40
PERIOD = 3
# The promises of docs/s3.md.
COLD_WITH_ORDER, WARM_WITHOUT = 14, 8


def journal_in(server: Bucketry, bucket: str) -> Journal:
    """The journal of a bot in a bucket."""
    return Journal(server.store(bucket, "bot"), "BTCUSDT")


def copied(server: Bucketry, folder: Path) -> str:
    """A new bucket with what a folder holds."""
    bucket = server.bucket()
    assert sync(LocalStore(folder), server.store(bucket, "bot")).refused == []
    return bucket


def standing(journal: Journal) -> tuple[Any, ...]:
    """State and equity of the newest hour, halts and champions."""
    newest = list(journal.records())[-1]
    halts = [event.content for event in journal.events(HALT)]
    return newest.totals, newest.line.equity, halts, champions(journal)


def executed(served: EmbeddedExchange) -> list[dict[str, Any]]:
    """Every order that the exchange executed."""
    import requests

    ledger = requests.get(served.url + "/sim/ledger", timeout=10).json()
    orders: list[dict[str, Any]] = ledger["orders"] if isinstance(ledger, dict) else ledger
    return orders


def move(served: EmbeddedExchange, hour: int) -> None:
    """Set the exchange's clock forward."""
    import requests

    assert requests.post(served.url + "/sim/clock", json={"to": hour}, timeout=10).status_code == 200


def finish(settings: Any, served: EmbeddedExchange, hour: int) -> None:
    """What the next ticks of the schedule do, until the hour is closed: then one order was executed and booked."""
    with a_bot(settings) as (bot, clock):
        for _ in range(5):
            try:
                tick(bot)
                break
            except TraderError:
                clock.sleep(60)
        record = bot.journal.record(hour)
        assert record is not None
        assert tick(bot).outcome == "done"
        booked = sorted(fill.trade_id for row in bot.journal.records() for fill in row.fills)
    orders = executed(served)
    assert len(orders) == 1
    assert booked == sorted(int(fill["tradeId"]) for order in orders for fill in order["fills"])
    assert record.ledger.position == orders_position(record)


def orders_position(record: HourRecord) -> Decimal:
    """The position that a first hour's fills give."""
    return sum((fill.qty - fill.commission for fill in record.fills), Decimal(0))


class RaceContract:
    """Creating at once."""

    def test_eight_writers_have_one_winner_each_time(self, server: Bucketry) -> None:
        """Eight writers, each with a client of its own, create the same ten keys at once: one wins each, whole."""
        bucket = server.bucket()
        stores = [server.store(bucket) for _ in range(WRITERS)]
        barrier = threading.Barrier(WRITERS)
        answers: list[list[bool]] = [[] for _ in range(WRITERS)]

        def write(writer: int) -> None:
            for hour in range(10):
                barrier.wait(200)
                answers[writer].append(stores[writer].create(f"hour/{hour}", b"writer %d" % writer * 100))

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for hour in range(10):
            [winner] = [writer for writer in range(WRITERS) if answers[writer][hour]]
            assert stores[0].get(f"hour/{hour}") == b"writer %d" % winner * 100


class BotContract:
    """Parity and exactly once, in a bucket."""

    RACED_HOURS = 3

    def test_a_bucket_holds_the_same_life_as_a_folder(
        self, server: Bucketry, lived: tuple[str, Path], traded: Path
    ) -> None:
        """Two days with an outage, a halt, a resume and a second model: the lines are the folder's, to the byte."""
        journal = journal_in(server, lived[0])
        lines = [record.line for record in journal.records()]
        assert lines == [record.line for record in Journal(LocalStore(traded), "BTCUSDT").records()]
        assert len(lines) == HOURS
        assert {line.order_side for line in lines} == {None, "BUY", "SELL"}
        assert check(journal).problems == []

    def test_replay_on_a_bucket_writes_the_lines_of_the_backtest(
        self, server: Bucketry, gappy_bars: Path, tmp_path: Path
    ) -> None:
        """The first promise, by the two commands: equal files."""
        (tmp_path / "P.json").write_text(json.dumps(quick_params()))
        span = [
            "--bars",
            str(gappy_bars),
            "--from",
            "2021-03-05",
            "--to",
            "2021-03-05T16:00",
            "--params",
            "P.json",
        ]
        command("backtest", "run", *span, "--hours-out", "backtest.jsonl", cwd=tmp_path)
        store = address(server, server.bucket())
        found = {"TRADER_S3_ENDPOINT_URL": store["s3_endpoint_url"], "TRADER_S3_REGION": store["s3_region"]}
        kept = ["--hours-out", "replay.jsonl", "--store", store["store"]]
        command("trader", "replay", *span, *kept, cwd=tmp_path, check=True, **found, **server.environment)
        assert (tmp_path / "backtest.jsonl").read_bytes() == (tmp_path / "replay.jsonl").read_bytes()

    def test_killed_before_every_request(
        self, server: Bucketry, gappy_bars: Path, begun: tuple[Path, int]
    ) -> None:
        """SIGKILL before each request to the bucket in a tick with an order: one order, one record."""
        folder, hour = begun
        for n in range(1, MOST_REQUESTS):
            store = address(server, copied(server, folder))
            with exchange(gappy_bars, hour) as served:
                if not killed(served.url, store, n):
                    break
                finish(settings_of(served.url, **store), served, hour)
        else:
            pytest.fail("a tick makes more requests than this test tries")
        assert n > 8

    @pytest.mark.parametrize("phase", range(PERIOD))
    @pytest.mark.parametrize("kind", ["lose", "refuse"])
    def test_every_answer_lost_or_refused(
        self, server: Bucketry, gappy_bars: Path, begun: tuple[Path, int], kind: str, phase: int
    ) -> None:
        """Each third request is answered by silence or by 503, from the first, second or third on, so that every one
        is once: the same tick survives it, with one order."""
        folder, hour = begun
        bucket = copied(server, folder)
        faults = [Fault("pass" if n % PERIOD != phase else kind) for n in range(90)]
        with proxy_to(server.url) as proxy, exchange(gappy_bars, hour) as served:
            with a_bot(settings_of(served.url, **address(server, bucket, proxy.url))) as (bot, _):
                assert isinstance(bot.journal.store, S3Store)
                bot.journal.store._sleep = lambda _: None
                proxy.faults[:] = faults
                assert tick(bot).lines[0].order_side == "BUY"
            finish(settings_of(served.url, **address(server, bucket)), served, hour)

    def test_eight_processes_on_one_hour(
        self, server: Bucketry, gappy_bars: Path, begun: tuple[Path, int]
    ) -> None:
        """Eight bots tick the same hours at the same moments: every hour has one record and at most one order."""
        folder, hour = begun
        bucket, hours = copied(server, folder), self.RACED_HOURS
        barrier = crew.Barrier(WRITERS + 1)
        with exchange(gappy_bars, hour - HOUR_MS) as served:
            args = (served.url, address(server, bucket), hours, barrier)
            children = [crew.Process(target=racer, args=args) for _ in range(WRITERS)]
            try:
                for child in children:
                    child.start()
                for i in range(hours):
                    move(served, hour + i * HOUR_MS)
                    barrier.wait(200)
                    barrier.wait(200)
                for child in children:
                    child.join(200)
            finally:
                for child in children:
                    child.kill()
            with a_bot(settings_of(served.url, **address(server, bucket))) as (bot, _):
                tick(bot)
            orders = executed(served)
        journal = journal_in(server, bucket)
        records = list(journal.records())
        assert [record.close_time for record in records] == [hour + i * HOUR_MS for i in range(hours)]
        assert len({order["clientOrderId"] for order in orders}) == len(orders) >= 1
        booked = sorted(fill.trade_id for record in records for fill in record.fills)
        assert booked == sorted(int(fill["tradeId"]) for order in orders for fill in order["fills"])
        assert check(journal).problems == []

    def test_a_lost_host_is_restored_from_the_bucket_alone(
        self, server: Bucketry, gappy_bars: Path, tmp_path: Path, lived: tuple[str, Path], traded: Path
    ) -> None:
        """Every file of the host is gone, the bot holds a position and is halted: position, equity, halt and champion
        are those of a bot that lost nothing, and it goes on as that one does."""
        bucket, venue = lived
        untouched = LocalStore(tmp_path / "untouched", durable=False)
        end = START + HOURS * HOUR_MS
        announce(journal_in(server, bucket), end, "person", freeze=True, by="person", message="looking")
        sync(server.store(bucket, "bot"), untouched)
        before = standing(Journal(untouched, "BTCUSDT"))
        assert standing(journal_in(server, bucket)) == before
        assert before[0] == standing(Journal(LocalStore(traded), "BTCUSDT"))[0]
        assert before[0].state.ledger.position > 0
        lines = []
        for n, store in enumerate((address(server, bucket), {"store": untouched.root})):
            state = Path(shutil.copy(venue, tmp_path / f"venue-{n}.json"))
            with exchange(gappy_bars, end, state) as served:
                settings = settings_of(served.url, **store, bars=tmp_path / f"new-host-{n}")
                with a_bot(settings) as (bot, clock):
                    assert tick(bot).halted
                    resume(bot.journal, end + HOUR_MS, "seen")
                    for i in range(1, 8):
                        clock.move_to(end + i * HOUR_MS)
                        assert not tick(bot).halted
                    lines.append([record.line for record in bot.journal.records(end)])
        assert lines[0] == lines[1]
        assert len(lines[0]) == 8
        assert {line.order_side for line in lines[0]} - {None}
        assert check(journal_in(server, bucket)).problems == []

    def test_counted_requests(
        self, server: Bucketry, gappy_bars: Path, begun: tuple[Path, int], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A cold tick with an order makes at most 14 requests, a warm one without at most 8, a done one at most 4."""
        folder, hour = begun
        with proxy_to(server.url) as proxy, exchange(gappy_bars, hour) as served:
            settings = settings_of(served.url, **address(server, copied(server, folder), proxy.url))
            with a_bot(settings) as (bot, clock):
                assert tick(bot).lines[0].order_side == "BUY"
                cold = proxy.counted()
                warm: list[str] = []
                for i in range(1, 20):
                    clock.move_to(hour + i * HOUR_MS)
                    proxy.counted()
                    if tick(bot).lines[0].order_side is None:
                        warm = proxy.counted()
                        break
                tick(bot)
                done = proxy.counted()
            with a_bot(settings) as (bot, _):
                tick(bot)
                cold_done = proxy.counted()
        for name, counted in (("cold", cold), ("warm", warm), ("done", done), ("cold done", cold_done)):
            print(name, len(counted), *counted, sep="\n  ")
        assert 0 < len(cold) <= COLD_WITH_ORDER
        assert 0 < len(warm) <= WARM_WITHOUT
        assert 0 < len(done) <= 4
        assert 0 < len(cold_done) <= 4
