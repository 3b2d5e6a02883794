"""Make fixtures/store-0.1.0.tar.gz again, by the commands of the program of version 0.1.0:

    python -m tests.app.store.make_old_store

Two days of BTCUSDT on made bars with outages: orders, hours that were missed and hours in which the venue was shut, a halt
and a resume, a second model that a person asked for, a breach that a search of two trials answered with a third, one let
back by a person, copies with their observer's cursor, the page's cached series. The last hour is closed. Tokens, the
store's id and the times of halts are others each time.
"""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

from tests.app.store.old_program import STORE, old_bars, old_environment, old_trader, unpacked
from tests.support.rig import quick_params
from trader.core.types import HOUR_MS, iso, parse_hour

START = parse_hour("2021-03-06")
HOURS = 46
HALT, RESUME, ASKED, BREACH, ROLLBACK, OBSERVED = 14, 16, 18, 32, 36, 41
MISSED = (8, 9, 31)
# A gain of half the equity in two hours is asked for, so the rule is breached.
RULE = {"TRADER_BREACH_HOURS": "2", "TRADER_BREACH_NET_RETURN": "0.5", "TRADER_RETUNE_TRIALS": "2"}
KEPT = ("state", "venue.jsonl", "P.json")


class OldBot:
    """The old program's bot in a folder, and its exchange."""

    def __init__(self, program: Path, folder: Path, url: str) -> None:
        self.program, self.folder, self.url = program, folder, url
        self.environment = {"TRADER_VENUE_URL": url, "TRADER_DATA_URL": url}

    def say(self, *arguments: str, check: bool = True, **more: str) -> str:
        """One command; what it printed."""
        environment = {**self.environment, **more}
        done = old_trader(self.program, *arguments, cwd=self.folder, check=check, **environment)
        print(*arguments, "->", done.returncode, (done.stdout + done.stderr).strip()[:160])
        return done.stdout

    def move_to(self, hour: int) -> None:
        """Set the exchange's clock forward."""
        body = json.dumps({"to": hour}).encode()
        urllib.request.urlopen(urllib.request.Request(self.url + "/sim/clock", body), timeout=10).close()


def live(bot: OldBot) -> None:
    """The two days."""
    bot.say("retrain", "--params", "P.json")
    for i in range(HOURS):
        hour = START + i * HOUR_MS
        bot.move_to(hour)
        if i == HALT:
            bot.say("halt", "--reason", "a look at the venue")
        if i == RESUME:
            bot.say("resume", "--reason", "nothing was wrong")
        if i not in MISSED:
            bot.say("tick", check=False, TRADER_COPIES=str(i >= OBSERVED).lower())
        if i == ASKED:
            bot.say("retrain", "--params", "P.json")
        if i == BREACH:
            bot.say("retrain", "--if-due", "--workers", "1", check=True, **RULE)
        if i == ROLLBACK:
            first = json.loads(bot.say("models", "list", "--json"))[0]["model_id"]
            bot.say("models", "rollback", first, "--reason", "the third trades too often")
    bot.say("dashboard", "--out", "page")
    assert "0 problems" in bot.say("store", "verify")


def pack(folder: Path, target: Path) -> None:
    """A tar of what is kept, its bytes a function of its content."""
    files = [path for name in KEPT for path in sorted([folder / name, *(folder / name).rglob("*")])]
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as packed:
        for path in files:
            name = path.relative_to(folder)
            if path.is_file() and ".tmp" not in name.parts and "probe" not in name.parts:
                entry = tarfile.TarInfo(str(name))
                entry.size = path.stat().st_size
                packed.addfile(entry, io.BytesIO(path.read_bytes()))
    target.write_bytes(gzip.compress(raw.getvalue(), mtime=0))


def main() -> None:
    """Live, and pack."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = unpacked(folder / "program")
        (folder / "P.json").write_text(json.dumps(quick_params()))
        words = ("--at", iso(START - HOUR_MS), "--state", "venue.jsonl", "--port", "0", "--json")
        exchange = subprocess.Popen(
            [sys.executable, "-m", "trader.cli", "exchange", "--bars", str(old_bars(folder)), *words],
            cwd=folder,
            env=old_environment(program),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert exchange.stdout
            live(OldBot(program, folder, json.loads(exchange.stdout.readline())["url"]))
        finally:
            exchange.terminate()
            exchange.wait(30)
        pack(folder, STORE)


if __name__ == "__main__":
    main()
