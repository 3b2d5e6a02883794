"""A rig for tests of the whole: an embedded exchange as a child process, and the commands run against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import forked
from trader.core.params import DEFAULT_PARAMS
from trader.core.types import iso

QUICK_TREES = {
    "family": "xgboost",
    "n_estimators": 20,
    "max_depth": 3,
    "learning_rate": 0.1,
    "subsample": 0.8,
    "colsample_bytree": 0.9,
    "gamma": 0,
}


def quick_params(**changes: Any) -> dict[str, Any]:
    """Parameters whose models are small and whose decisions change often."""
    return {**DEFAULT_PARAMS, "model": QUICK_TREES, "look_back_days": 20, "enter_edge": 0.0, **changes}


# What a command starts for its observers has ended when the command has: no process outlives its test.
NOTHING_LEFT_BEHIND = {"TRADER_WAIT_FOR_OBSERVERS": "true"}


def command(
    *arguments: str, cwd: Path, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one of the two commands in a folder, in a process of its own; its output as text."""
    done = forked.run(arguments, cwd, {"PATH": os.defpath, **NOTHING_LEFT_BEHIND, **environment})
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def anew(
    *arguments: str, cwd: Path, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The same by a fresh interpreter, which imports everything anew, as a shell would start it."""
    done = subprocess.run(
        [sys.executable, "-m", f"{arguments[0]}.cli", *arguments[1:]],
        cwd=cwd,
        env={"PATH": os.defpath, **NOTHING_LEFT_BEHIND, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@dataclass
class Venue:
    """A running embedded exchange and a folder to keep a bot in."""

    url: str
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    run: Callable[..., subprocess.CompletedProcess[str]] = command

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find it."""
        return {
            "TRADER_VENUE": "embedded",
            "TRADER_VENUE_URL": self.url,
            "TRADER_TIMEOUT_S": "2",
            "TRADER_TRACKERS": "none",
            **self.settings,
        }

    def trader(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `trader` in the bot's folder against this exchange."""
        return self.run("trader", *arguments, cwd=self.folder, check=check, **self.environment)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `trader` and return at once."""
        return subprocess.Popen(
            [sys.executable, "-m", "trader.cli", *arguments],
            cwd=self.folder,
            env={"PATH": os.defpath, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def sim(self, path: str, body: Any = None) -> Any:
        """GET, or POST with a body, what lies outside /api."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data), timeout=10) as reply:
            return json.loads(reply.read())

    def move_to(self, time_ms: int) -> None:
        """Set the exchange's clock forward."""
        self.sim("/sim/clock", {"to": time_ms})

    def ledger(self) -> list[dict[str, Any]]:
        """Every order the exchange executed."""
        ledger = self.sim("/sim/ledger")
        orders: list[dict[str, Any]] = ledger["orders"] if isinstance(ledger, dict) else ledger
        return orders

    def journal(self) -> list[str]:
        """The journal's lines as the hours file has them."""
        return self.trader("journal", "--jsonl").stdout.splitlines()


@contextmanager
def venue(folder: Path, bars: Path, at: int, *options: str) -> Iterator[Venue]:
    """An embedded exchange over a file of bars, its clock standing at `at` (UTC ms)."""
    words = ("--bars", str(bars), "--at", iso(at), "--port", "0", "--json", *options)
    with forked.running(("trader", "exchange", *words), folder) as ready:
        yield Venue(json.loads(ready)["url"], folder)
