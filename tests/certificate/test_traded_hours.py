"""A bot that has traded: its own hours are part of the certificate; and the commands, as a person calls them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backtest.certificate.production import production
from tests.support.life import PARAMS, START, a_bot, exchange, settings_of
from tests.support.once import once
from tests.support.rig import command, quick_params
from tests.support.rig_bars import made_bars
from trader import wiring
from trader.adapters.files import read_bars, write_bars
from trader.app.bot import Bot
from trader.app.models import card_to_check
from trader.app.replay import replay
from trader.commands.check import subject_of
from trader.core.types import HOUR_MS

TRADED = 30


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bars, and a store in which thirty hours were traded."""
    return once(tmp_path_factory, "certified-life", _traded)


def _traded(folder: Path) -> None:
    bars = made_bars(folder, "2020-09-01", "2021-03-10")
    with (
        exchange(bars, START - HOUR_MS) as served,
        a_bot(settings_of(served.url, store=folder / "store")) as (bot, clock),
    ):
        replay(bot, clock, PARAMS, START, START + TRADED * HOUR_MS)


@contextmanager
def at_hand(folder: Path) -> Iterator[Bot]:
    """The bot, right after its newest traded hour."""
    [bars] = folder.glob("*-1h.parquet")
    last = START + (TRADED - 1) * HOUR_MS
    with exchange(bars, last) as served:
        settings = settings_of(served.url, store=folder / "store", bars=folder / "collected")
        with wiring.open_bot(settings, durable=False, keep_bars=False) as bot:
            yield bot


def test_what_was_traded_is_compared_with_today(traded: Path) -> None:
    """Every traded hour saw today's bars, and its model says the same today. A bar that is another one today is found by what the
    hours after it said."""
    with at_hand(traded) as bot:
        subject = subject_of(bot, card_to_check(bot.journal, "champion"), START + (TRADED - 1) * HOUR_MS)
    assert len([it for it in subject.recorded if it.own and it.bars_hash_now]) == TRADED - 4  # outages
    found = production(subject, 24)
    assert found.passed, found.failure
    close = subject.bars.close.copy()
    close[subject.bars.row(START + 3 * HOUR_MS)] *= 1.01
    told = production(replace(subject, bars=replace(subject.bars, close=close)), 24)
    assert any(not check.passed and "traded at P(up)" in check.words for check in told.checks), told


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder, and the environment of a bot that has not begun, at an exchange of its own."""
    bars = made_bars(tmp_path, "2020-09-01", "2021-03-10")
    (tmp_path / "P.json").write_text(json.dumps(quick_params()))
    with exchange(bars, START - HOUR_MS) as served:
        yield (
            tmp_path,
            {"TRADER_VENUE_URL": served.url, "TRADER_TRACKERS": "none", "TRADER_BARS": "collected"},
        )


def check(folder: Path, environment: dict[str, str], *words: str, ok: bool = True) -> Any:
    """`trader check ... --json`."""
    done = command("trader", "check", *words, "--json", cwd=folder, check=ok, **environment)
    return json.loads(done.stdout)


def test_the_command_keeps_numbered_certificates(begun: tuple[Path, dict[str, str]]) -> None:
    """At the embedded exchange a training demands none unless asked; the verb makes one, the card shows the newest."""
    folder, environment = begun
    command("trader", "retrain", "--params", "P.json", cwd=folder, check=True, **environment)
    assert not list((folder / "state").rglob("certificate*"))
    told = check(folder, environment)
    assert (told["number"], told["passed"], told["failed"]) == (1, True, [])
    assert check(folder, environment, told["model_id"][:8])["number"] == 2
    card = json.loads(
        command("trader", "models", "card", "2021", "--json", cwd=folder, check=True, **environment).stdout
    )
    assert (card["certificate"]["number"], card["certificate"]["passed"]) == (2, True)
    words = command("trader", "check", cwd=folder, check=True, **environment).stdout
    assert "live path and walk-forward" in words
    assert max(map(len, words.splitlines())) <= 80
    assert (
        "certificate"
        in command("trader", "models", "card", "2021", cwd=folder, check=True, **environment).stdout
    )
    verified = command("trader", "store", "verify", cwd=folder, check=True, **environment)
    assert "0 problems" in verified.stdout


def test_a_model_that_fails_ends_with_one_and_begins_no_bot(begun: tuple[Path, dict[str, str]]) -> None:
    """A bar that was revised after the training: `check` ends with 1, and the next training, on the revised bars, passes. Where a
    training itself fails nothing is named champion."""
    folder, environment = begun
    demanded = {**environment, "TRADER_CERTIFICATE": "always"}
    command("trader", "retrain", "--params", "P.json", cwd=folder, check=True, **demanded)
    assert [path.name for path in (folder / "state").rglob("certificate/*")] == ["000001"]
    [file] = (folder / "collected").glob("*-1h.parquet")
    bars = read_bars(file, "BTCUSDT")
    close, row = bars.close.copy(), bars.row(START) - 100
    close[row] = (bars.low[row] + bars.high[row]) / 2
    write_bars(file, replace(bars, close=close))
    told = check(folder, demanded, ok=False)
    assert (told["passed"], told["failed"][0]) == (False, "production")
    done = command("trader", "check", cwd=folder, check=False, **demanded)
    assert done.returncode == 1
    assert "FAILED: today's bars, columns and labels give rows of the hash" in " ".join(done.stdout.split())
    card = command("trader", "models", "card", told["model_id"], cwd=folder, check=True, **demanded).stdout
    assert "failed: production (training rows: today's bars" in " ".join(card.split())
    command("trader", "dashboard", "--out", "page", cwd=folder, check=True, **demanded)
    assert (
        "failed: production (training rows: today&#39;s bars" in (folder / "page" / "index.html").read_text()
    )
    rollback = ("models", "rollback", told["model_id"], "--reason", "x", "--from", "2021-03-20")
    done = command("trader", *rollback, cwd=folder, check=False, **demanded)
    assert done.returncode == 1
    assert "Uncertified" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_model_is_refused(begun: tuple[Path, dict[str, str]]) -> None:
    """Exit 2 with where to look, and nothing is written."""
    folder, environment = begun
    done = command("trader", "check", "nothing", cwd=folder, check=False, **environment)
    assert done.returncode == 2
    assert "names no model of the store" in done.stderr
    assert not (folder / "state" / "models").exists()


def test_a_corrupt_export_fails_the_certificate(begun: tuple[Path, dict[str, str]]) -> None:
    """One that was proved passes; one whose bytes are others is found by the part for it."""
    folder, environment = begun
    command("trader", "retrain", "--params", "P.json", cwd=folder, check=True, **environment)
    words = ("export", "2021", "--format", "onnx", "--out", "model.onnx")
    command("trader", *words, cwd=folder, check=True, **environment)
    told = check(folder, environment)
    exports = next(part for part in told["parts"] if part["part"] == "exports")
    assert (told["passed"], exports["checks"][0]["words"]) == (
        True,
        "every stored form says what the model says",
    )
    [kept] = (folder / "state" / "models").rglob("export-onnx")
    kept.write_bytes(kept.read_bytes()[:-40] + bytes(40))
    told = check(folder, environment, ok=False)
    assert told["failed"] == ["exports"]
    assert "onnx: " in next(part for part in told["parts"] if part["part"] == "exports")["checks"][0]["words"]
