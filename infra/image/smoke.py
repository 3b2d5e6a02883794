"""Prove that an image trades: hours against the embedded exchange, each by a fresh container that can write nothing.

    python3 infra/image/smoke.py --engine docker --image hourly-trader
    python3 infra/image/smoke.py --engine "podman --runtime runc" --image localhost/bot --run "--ulimit nofile=1024"

Everything runs in the image: the exchange, the training, the ticks, the reports. Containers are read-only, without
capabilities, as the image's own user, and share the host's loopback. Needs Python 3 and a container engine. Prints
one line of JSON: hours, orders, seconds of each tick.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

HOURS = 24
BEGIN = datetime.fromisoformat("2022-03-01T00:00:00+00:00")
# Small models and a decision every hour, so that a day has orders.
PARAMS = {
    "model": {
        "family": "xgboost",
        "n_estimators": 20,
        "max_depth": 3,
        "learning_rate": 0.1,
        "subsample": 0.8,
        "colsample_bytree": 0.9,
        "gamma": 0,
    },
    "look_back_days": 20,
    "step_days": 30,
    "gap_hours": 1,
    "enter_edge": 0.0,
    "exit_edge": 0.0,
    "exposure": "long_flat",
    "fee_rate": 0.001,
    "half_spread_bps": 1,
    "slippage_bps": 1,
    "allocation_usdt": 10000,
    "features": "seed",
    "seed": 7,
}
SEALED = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "host"]


@dataclass
class Machine:
    """A container engine, an image, and the folder that containers keep their state in."""

    engine: list[str]
    image: str
    folder: Path
    options: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> list[str]:
        """The whole command that runs `trader` with these arguments in a fresh, sealed container."""
        inside = [f"--env={name}={value}" for name, value in self.environment.items()]
        mounts = ["--volume", f"{self.folder}:/state", "--tmpfs", "/tmp"]  # noqa: S108 - the container's own
        return [*self.engine, "run", "--rm", *SEALED, *self.options, *mounts, *inside, self.image, *arguments]

    def trader(self, *arguments: str, may_fail: bool = False) -> str:
        """What it printed. Ends the program, with its messages, where it failed."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode and not may_fail:
            sys.exit(
                f"trader {' '.join(arguments)} in {self.image}: {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout


def post(url: str, body: dict[str, Any] | None = None) -> Any:
    """GET, or POST with a body, at the embedded exchange."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as reply:  # noqa: S310 - loopback
        return json.loads(reply.read())


def require(holds: bool, otherwise: str) -> None:
    """End the program with a message where something does not hold."""
    if not holds:
        sys.exit(otherwise)


def stamp(moment: datetime) -> str:
    """ISO 8601 in UTC, as the commands read it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def trade(machine: Machine, url: str, hours: int) -> dict[str, Any]:
    """Train once, tick every hour twice, and compare what the bot says with what the exchange executed."""
    machine.environment["TRADER_VENUE_URL"] = url
    (machine.folder / "P.json").write_text(json.dumps(PARAMS))
    machine.trader("retrain", "--params", "/state/P.json")
    seconds = []
    for hour in range(1, hours + 1):
        post(f"{url}/sim/clock", {"to": stamp(BEGIN + timedelta(hours=hour))})
        began = time.monotonic()
        machine.trader("tick")
        seconds.append(time.monotonic() - began)
    again = machine.trader("tick")
    require("already done" in again, f"the last hour, ticked once more, answered: {again}")
    lines = [json.loads(line) for line in machine.trader("journal", "--jsonl").splitlines()]
    executed = post(f"{url}/sim/ledger")
    orders = executed["orders"] if isinstance(executed, dict) else executed
    traded = [line for line in lines if line["order_side"]]
    require(len(lines) == hours, f"{len(lines)} hours in the journal, {hours} on the clock")
    require(len(traded) == len(orders) > 0, f"{len(traded)} orders in the journal, {len(orders)} executed")
    return {
        "hours": len(lines),
        "orders": len(orders),
        "tick_s": [round(s, 2) for s in seconds],
        "lines": lines,
    }


def smoke(machine: Machine, hours: int = HOURS) -> dict[str, Any]:
    """Start the exchange in a container, trade against it, and stop it."""
    serve = machine.command("exchange", "--synthetic", "7", "--at", stamp(BEGIN), "--port", "0", "--json")
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as exchange:  # noqa: S603
        try:
            ready = exchange.stdout.readline() if exchange.stdout else ""
            if not ready.startswith("{"):
                sys.exit("the embedded exchange did not start; its message is above")
            return trade(machine, json.loads(ready)["url"], hours)
        finally:
            exchange.terminate()
            exchange.wait(timeout=60)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", default="docker", help="the container engine and its global options")
    parser.add_argument("--image", required=True)
    parser.add_argument("--run", default="", help="more options of its run command")
    parser.add_argument("--hours", type=int, default=HOURS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="smoke-") as name:
        folder = Path(name)
        folder.chmod(0o777)  # the image's user is nobody on this machine
        machine = Machine(shlex.split(given.engine), given.image, folder, shlex.split(given.run))
        said = smoke(machine, given.hours)
    print(json.dumps({key: value for key, value in said.items() if key != "lines"}))


if __name__ == "__main__":
    main()
