"""A bot whose store is signed trades as any other, and stops where an object is not its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from pydantic import SecretStr

from tests.support.life import a_bot, exchange, settings_of
from tests.support.rig import command
from trader.app.tick import tick
from trader.core.errors import ConfigError
from trader.core.hours import line_text
from trader.core.types import HOUR_MS

KEY = "a key of the tests, long enough for one"


def verb(*words: str, store: Path, key: str) -> CompletedProcess[str]:
    """A verb in a process of its own."""
    where = ("--store", str(store))
    return command("trader", *words, *where, cwd=store.parent, check=False, TRADER_STORE_HMAC_KEY=key)


def traded(bars: Path, hour: int, store: Path, key: str) -> list[str]:
    """The lines of two hours from `hour` on, traded by a bot with this key."""
    lines = []
    with exchange(bars, hour - HOUR_MS) as served:
        settings = settings_of(served.url, store=store, store_hmac_key=SecretStr(key))
        with a_bot(settings) as (bot, clock):
            for at in (hour, hour + HOUR_MS):
                clock.move_to(at)
                lines += [line_text(line) for line in tick(bot).lines]
    return lines


@pytest.fixture(scope="module")
def lives(
    begun: tuple[Path, int], gappy_bars: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, int]:
    """A store that was begun without a key, signed and traded on with one; and the same without, `plain` beside it."""
    folder, hour = begun
    place = tmp_path_factory.mktemp("lives")
    for name in ("plain", "signed"):
        shutil.copytree(folder, place / name)
    refused = verb("status", store=place / "signed", key=KEY)
    assert (refused.returncode, "trader store sign" in refused.stderr) == (2, True)
    done = verb("store", "sign", store=place / "signed", key=KEY)
    assert "0 tagged before, 0 wrong" in done.stdout, done.stderr
    assert traded(gappy_bars, hour, place / "plain", "") == traded(gappy_bars, hour, place / "signed", KEY)
    return place / "signed", hour


def test_a_signed_store_holds_together(lives: tuple[Path, int]) -> None:
    """Its lines are those of a bot without a key; verify finds nothing, and what was written since carries its tag."""
    said = verb("store", "verify", store=lives[0], key=KEY)
    assert (said.returncode, "0 problems" in said.stdout) == (0, True), said.stderr
    assert all(b"\n#hmac-sha256 " in path.read_bytes() for path in lives[0].glob("journal/**/record"))


@pytest.mark.parametrize("what", ["no key", "another key", "a changed byte", "a moved record", "no tag"])
def test_a_tick_ends_before_anything_is_sent(
    what: str, lives: tuple[Path, int], gappy_bars: Path, tmp_path: Path
) -> None:
    """Exit 2, naming the object and the way out, of a tick and of the status; nothing is written."""
    store, hour = tmp_path / "store", lives[1]
    shutil.copytree(lives[0], store)
    older, newest = sorted(store.glob("journal/**/record"))
    key, said = KEY, "is not what its tag says"
    match what:
        case "no key":
            key, said = "", "this store is written with a key"
        case "another key":
            key, said = "x" * 32, "was tagged with another key"
        case "a changed byte":
            newest.write_bytes(newest.read_bytes().replace(b'"equity":"', b'"equity":"1', 1))
        case "a moved record":
            newest.write_bytes(older.read_bytes())
        case _:
            newest.write_bytes(newest.read_bytes().split(b"\n#")[0])
            said = "carries no tag"
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    with exchange(gappy_bars, hour + 2 * HOUR_MS) as served:
        settings = settings_of(served.url, store=store, store_hmac_key=SecretStr(key))
        with a_bot(settings) as (bot, _), pytest.raises(ConfigError, match=said) as refused:
            tick(bot)
    assert refused.value.exit_code == 2
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before
    told = verb("status", store=store, key=key)
    assert (told.returncode, said in told.stderr) == (2, True), told.stderr
