"""`trader serve` itself, against the embedded exchange: as the bot decides, derived again, its exits."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.kit import until
from tests.support.rig import Venue, quick_params, venue
from tests.support.rig_bars import made_bars
from trader.commands.serve import token_for
from trader.core.errors import ConfigError
from trader.core.types import HOUR_MS, LOOPBACK, parse_hour

BEGIN = parse_hour("2021-03-05T00:00")


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Venue]:
    """A bot whose first model serves from the next hour on."""
    bars = made_bars(tmp_path, "2020-12-01", "2021-03-20")
    (tmp_path / "P.json").write_text(json.dumps(quick_params()))
    with venue(tmp_path, bars, BEGIN) as made:
        made.trader("retrain", "--params", "P.json")
        yield made


@contextmanager
def served(bot: Venue, *options: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """The command, and its ready line."""
    process = bot.start("serve", "--port", "0", "--json", *options)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("{"), process.stderr.read() if process.stderr else ""
        yield json.loads(line), process
    finally:
        process.kill()
        process.communicate()


def test_it_says_what_the_bot_decides_and_ends_as_it_is_told(bot: Venue) -> None:
    """The newest hour over HTTP is the decision in the journal: P(up), model, hash of the bars. The answer is derived again by
    --check, a changed one is not; SIGTERM ends it with 0."""
    with served(bot) as (ready, process):
        assert ready["symbols"] == ["BTCUSDT"]
        assert ready["ready"] is True
        bot.move_to(BEGIN + HOUR_MS)
        bot.trader("tick")
        with httpx.Client(base_url=ready["url"], timeout=20, trust_env=False) as http:

            def told() -> dict[str, Any]:
                found: dict[str, Any] = http.post("/v1/forecast", json={"symbol": "BTCUSDT"}).json()
                return found

            until(lambda: told().get("hour") == "2021-03-05T01:00:00Z")
            answer = told()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    folder = bot.folder / "state/journal/BTCUSDT/2021/03/05T01/decision"
    decision = json.loads(folder.read_text())
    assert (answer["p_up"], answer["input_hash"]) == (decision["p_up"], decision["bars_hash"])
    assert answer["model_id"] == decision["model_id"]
    champion = next((bot.folder / "state/state/BTCUSDT/champion").iterdir())
    assert answer["card_hash"] == json.loads(champion.read_text())["card_sha256"]

    (bot.folder / "answer.json").write_text(json.dumps(answer))
    (found,) = json.loads(bot.trader("serve", "--check", "answer.json", "--json").stdout)
    assert found["equal"] is True
    (bot.folder / "answer.json").write_text(json.dumps({**answer, "p_up": 0.75}))
    done = bot.trader("serve", "--check", "answer.json", check=False)
    assert done.returncode == 2
    assert "p_up: the answer says 0.75" in " ".join(done.stdout.split())


def test_what_cannot_be_served_ends_with_2(bot: Venue) -> None:
    """A port that is taken, an address beyond loopback without a token, another symbol's store: before anything listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = bot.trader("serve", "--port", str(taken.getsockname()[1]), check=False)
    assert (done.returncode, "choose another --port or --host" in done.stderr) == (2, True)
    done = bot.trader("serve", "--host", "0.0.0.0", check=False)  # noqa: S104 - it is refused
    assert (done.returncode, "set TRADER_SERVE_TOKEN" in done.stderr) == (2, True)
    done = bot.trader("serve", "--symbol", "ETHUSDT", check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_token_is_needed_beyond_loopback_only() -> None:
    """Every name of this machine goes without one."""
    assert {token_for(host, "") for host in LOOPBACK} == {""}
    assert token_for("0.0.0.0", "secret") == "secret"  # noqa: S104 - nothing listens
    with pytest.raises(
        ConfigError, match=r"listens on 0\.0\.0\.0, which other machines reach: set TRADER_SERVE_TOKEN"
    ):
        token_for("0.0.0.0", "")  # noqa: S104 - it is refused
