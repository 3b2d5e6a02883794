"""A ban that one process met is kept by the next: it asks nothing, and says until when."""

from __future__ import annotations

import json
import time
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.fakes import FakeClock
from tests.support.raw_server import NOW, error, http, serving
from tests.support.rig import command
from trader import wiring
from trader.adapters.bans import BanFile
from trader.adapters.binance_connection import Quota
from trader.adapters.binance_errors import LONGEST_BAN_S
from trader.config import load_settings
from trader.core.types import iso

HOST, OTHER = "https://one.example", "https://other.example"


def test_the_next_process_asks_nothing_until_the_ban_is_over(tmp_path: Path) -> None:
    """Real processes against a host that answers 418 once: the second exits with 3 at once and the host hears nothing;
    when the time is over it is asked again."""
    with serving(
        error(418, -1003, "Way too much request weight used.", Retry_After="300"), http(200, [])
    ) as server:

        def collect() -> CompletedProcess[str]:
            return command(
                *("trader", "collect", "--from", "2022-01-01", "--to", "2022-01-02"),
                cwd=tmp_path,
                check=False,
                TRADER_VENUE="testnet",
                TRADER_DATA_URL=server.url,
            )

        first, second = collect(), collect()
        assert (first.returncode, second.returncode) == (3, 3)
        assert len(server.heard) == 1
        file = tmp_path / "data" / "bans.json"
        until = json.loads(file.read_text())[server.url]
        assert until > time.time() * 1000
        assert f"{server.url} forbids every request until {iso(until)}" in second.stderr
        file.write_text(json.dumps({server.url: 1}))
        collect()
        assert len(server.heard) > 1


def test_hosts_are_told_apart_and_a_ban_ends(tmp_path: Path) -> None:
    """One host's ban is nobody else's; a later end is kept, an earlier one is not."""
    path = tmp_path / "new" / "bans.json"
    Quota(BanFile(path, HOST), NOW).block(NOW + 60_000)
    Quota(BanFile(path, OTHER), NOW).block(NOW + 90_000)
    again = Quota(BanFile(path, HOST), NOW)
    again.block(NOW + 30_000)
    assert [Quota(BanFile(path, host), NOW).blocked_until_ms for host in (HOST, OTHER, "x")] == [
        NOW + 60_000,
        NOW + 90_000,
        0,
    ]
    assert Quota(BanFile(path, HOST), NOW + 60_000).blocked_until_ms == 0
    assert [file.name for file in path.parent.iterdir()] == ["bans.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        f'{{"{HOST}": "soon"}}',
        f'{{"{HOST}": true}}',
        f'{{"{HOST}": 1e400}}',
        f'{{"{HOST}": {NOW + round(LONGEST_BAN_S * 1000) + 1}}}',
    ],
)
def test_a_damaged_file_forbids_nothing(tmp_path: Path, text: str) -> None:
    """Nor does an end that no ban has; what is written next is whole."""
    path = tmp_path / "bans.json"
    path.write_text(text)
    quota = Quota(BanFile(path, HOST), NOW)
    assert quota.blocked_until_ms == 0
    quota.block(NOW + 5_000)
    assert BanFile(path, HOST).until_ms(NOW) == NOW + 5_000


def test_where_nothing_can_be_written_a_ban_is_kept_by_its_process_alone(tmp_path: Path) -> None:
    """As before there was a file."""
    (tmp_path / "data").write_text("a file where the folder should be")
    quota = Quota(BanFile(tmp_path / "data" / "bans.json", HOST), NOW)
    quota.block(NOW + 5_000)
    assert quota.blocked_until_ms == NOW + 5_000


def test_the_embedded_exchange_has_a_time_of_its_own(tmp_path: Path) -> None:
    """Its bans end by its clock, which can be set, so no file keeps them; those of other venues are kept by both sides."""
    clock = FakeClock(NOW)
    embedded = load_settings(venue="embedded", bars=tmp_path)
    wiring.make_quota(embedded, embedded.exchange_url, clock).block(NOW + 60_000)
    assert not [*tmp_path.iterdir()]
    testnet = load_settings(venue="testnet", bars=tmp_path)
    wiring.make_quota(testnet, testnet.exchange_url, clock).block(NOW + 60_000)
    assert wiring.make_quota(testnet, testnet.exchange_url, clock).blocked_until_ms == NOW + 60_000
    assert wiring.make_quota(testnet, testnet.market_url, clock).blocked_until_ms == 0
