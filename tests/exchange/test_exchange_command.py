"""`trader exchange`: what its help says, its ready line, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support import forked
from tests.support.venue_kit import command

WORDS = ("--bars", "--synthetic", "--symbol", "--filters", "--balance", "--fee-rate", "--half-spread-bps")
MORE_WORDS = ("--slippage-bps", "--at", "--port", "--speed", "--state", "--faults", "--json")


def trader(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return forked.run(
        ("trader", "exchange", *words), folder, {"COLUMNS": "200", "TERM": "dumb"}, timeout_s=60
    )


def test_the_help_names_every_option_and_the_control_channel(tmp_path: Path) -> None:
    """An author of another bot finds the options, an example, and where to read on."""
    said = trader(tmp_path, "--help").stdout
    assert [word for word in (*WORDS, *MORE_WORDS) if word not in said] == []
    for name in ("Example: trader exchange", "/sim/clock", "/sim/faults", "/sim/ledger", "docs/exchange.md"):
        assert name in said


def test_now_is_the_time_of_the_wall(tmp_path: Path) -> None:
    """With `--at now --speed 1` the exchange's clock is the wall's, between hours that are past and hours to come."""
    with command(tmp_path / "stderr", "--synthetic", "7", "--at", "now", "--speed", "1") as ready:
        assert set(ready) == {"url", "api_key", "api_secret"}
        with urllib.request.urlopen(f"{ready['url']}/sim/clock", timeout=20) as answer:
            clock = json.load(answer)
    assert clock["open"]
    assert clock["speed"] == 1
    assert abs(clock["now"] - time.time() * 1000) < 60_000


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--at", "now", "--bars", "x.parquet"), "give --synthetic SEED instead of --bars"),
        (("--at", "2010-01-01", "--synthetic", "7"), "outside the bars"),
        (("--synthetic", "7", "--bars", "x.parquet"), "not both"),
        (("--synthetic", "7", "--balance", "USDT"), "USDT=10000"),
        (("--synthetic", "7", "--speed", "fast"), "is not a number"),
        (("--synthetic", "7", "--speed", "121"), "above 120: the ten minutes within which an hour's order"),
    ],
)
def test_what_cannot_be_served_is_said_with_the_way_out(
    words: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    """Exit code 2 and one line, no traceback."""
    done = trader(tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("text", "says"), [("{", "not JSON"), ("[{}]", "needs an 'action'")])
def test_a_broken_file_of_faults_is_said(tmp_path: Path, text: str, says: str) -> None:
    """Neither half a file nor a fault without an action starts an exchange."""
    (tmp_path / "faults.json").write_text(text)
    done = trader(tmp_path, "--synthetic", "7", "--port", "0", "--faults", str(tmp_path / "faults.json"))
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
