"""Other ways to serve the same beside `trader serve`: one replica of Ray Serve, and a network in place of trees.

Each pair stands side by side on one interpreter, one core and the same bars: Ray Serve in the environment of `make system`, torch
in that of `make families`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.figure import Figure
from benchmarks.scene import ROOT

PATIENCE_S = 1_500
Part = Literal["ray", "tft"]


@dataclass(frozen=True, slots=True)
class Beside:
    """What another interpreter is asked for. folder: short, for Ray's sockets lie in it. bars: a file. seconds: of each
    measurement. trees, epochs: of the two models. hours: past ones that are asked for, each once."""

    part: Part
    folder: str
    bars: str
    seconds: float
    trees: int
    epochs: int
    hours: int


def figures(bars: Path, seconds: float, trees: int, epochs: int, hours: int) -> list[Figure]:
    """Ray Serve's rates and waits beside uvicorn's, and those of a Temporal Fusion Transformer beside XGBoost's."""
    parts: tuple[tuple[Part, str, Callable[[dict[str, Any]], list[Figure]]], ...] = (
        ("ray", "system", _of_ray),
        ("tft", "families", _of_tft),
    )
    told = []
    for part, home, figures_of in parts:
        with tempfile.TemporaryDirectory(prefix="ray-") as name:
            found, note = _measured(home, Beside(part, name, str(bars), seconds, trees, epochs, hours))
        told += [Figure(f"{part} beside", None, note=note)] if found is None else figures_of(found)
    return told


def _measured(home: str, asked: Beside) -> tuple[dict[str, Any] | None, str]:
    """What the interpreter of an environment found, or None and why there is none. Nothing that it starts outlives it."""
    setting = f"{home.upper()}_PYTHON"
    python = os.environ.get(setting) or str(ROOT / f".venv-{home}" / "bin" / "python")
    if not os.access(python, os.X_OK):
        return None, f"{python} is no interpreter; run: make {home} (or set {setting})"
    own = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    words = [*own, python, "-m", "benchmarks.serve_beside_side", json.dumps(asdict(asked))]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("TRADER_")}
    log = Path(asked.folder) / "log"
    with log.open("w") as errors:
        done = subprocess.run(
            words,
            cwd=ROOT,
            env={**bare, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    if done.returncode:
        return None, " ".join(log.read_text().split()[-80:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found, ""


def _of_ray(found: dict[str, Any]) -> list[Figure]:
    told, ray = [], found["ray"]
    for what, ours in found["uvicorn"].items():
        theirs = ray[what]
        rates = f"{theirs['rate']:.0f} and {ours['rate']:.0f} a second, 8 clients, one core"
        waits = (
            f"uvicorn {ours['p99_ms']:.1f} ms; medians {theirs['p50_ms']:.1f} and {ours['p50_ms']:.1f} ms; by status "
            f"{theirs['codes']} and {ours['codes']}"
        )
        told += [
            Figure(f"Ray Serve, {what}, of uvicorn's rate", theirs["rate"] / ours["rate"], note=rates),
            Figure(
                f"Ray Serve, {what}: 99 % of waits at 100 requests a second",
                theirs["p99_ms"],
                unit="ms",
                note=waits,
            ),
        ]
    equal = float(found["equal"])
    return [*told, Figure("Ray Serve's answers are uvicorn's", equal, "exactly", 1, is_result=True)]


def _of_tft(found: dict[str, Any]) -> list[Figure]:
    tft, trees = found["tft"], found["trees"]
    trained = f"one replica of uvicorn; trained in {tft['trained_s']:.0f} s, {tft['parameters']}"
    return [
        Figure(
            "TFT, the newest hour: 99 % of waits at 300 requests a second",
            tft["p99_ms"],
            unit="ms",
            note=f"XGBoost {trees['p99_ms']:.1f} ms; by status {tft['codes']} and {trees['codes']}; {trained}",
        ),
        Figure(
            "TFT, an hour that nobody asked for before",
            tft["hour_ms"],
            unit="ms",
            note=f"median of {tft['hours']}, one client; XGBoost {trees['hour_ms']:.1f} ms",
        ),
    ]
