"""`python -m benchmarks [NAME ...]`: every module here named bench_NAME.py, each with run() -> list of figures.

Numbers are ratios or medians within one run, since the machine is shared; what holds on one machine only is printed beside
a floor that was measured in the same run. The exit code says whether any was missed.

`--small` runs the small form of each: the same code and the same other side within seconds. It judges results, not
times, so a busy machine cannot fail it, and one module more than there are cores runs at once; a figure that could not be
measured fails it. `before --commit REV` names what to compare with; `soak` takes its hours, its seed and a file of bars.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from trader import terminal
from trader.core.errors import ConfigError

HERE = Path(__file__).parent
# Their small forms take longest, so that they begin first: nothing runs beside the last one's end.
LONGEST = ("tick", "study", "before", "pipeline", "simulate", "serve", "stream")
# Options that are one module's own, and which of its functions takes them.
OPTIONS = {"before": ("commit",), "soak": ("hours", "seed", "bars", "as_json")}
TAKES = {"before": "against", "soak": "asked"}


def names() -> list[str]:
    """What there is to measure."""
    return sorted(file.stem.removeprefix("bench_") for file in HERE.glob("bench_*.py"))


def form_of(name: str, form: str, asked: dict[str, Any]) -> Callable[[], list[Figure]]:
    """How a module is measured: run_full where it has one, run_small, or run; with options of its own, as `asked`."""
    module = importlib.import_module(f"benchmarks.bench_{name}")
    if asked:
        return partial(getattr(module, TAKES[name]), **asked)
    taken: Callable[[], list[Figure]] = getattr(module, form, module.run)
    return taken


def measure(name: str, form: str = "run", asked: dict[str, Any] | None = None) -> list[Figure]:
    """The figures of one module, printed as soon as they are known."""
    began = time.perf_counter()
    figures = form_of(name, form, asked or {})()
    title = f"{name} ({time.perf_counter() - began:.0f} s, load {os.getloadavg()[0]:.1f})"
    print(
        terminal.table(
            title, [figure.row(form != "run_small") for figure in figures], ("", "measured", "target", "")
        )
    )
    for figure in figures:
        if figure.note:
            print(f"  {figure.name}: {figure.note}")
    print(flush=True)
    return figures


def failed(figures: list[Figure], small: bool) -> list[str]:
    """Names of the figures that decide: every missed one; in the small form missed results and what was not measured."""
    if small:
        return [f.name for f in figures if f.value is None or (f.is_result and f.verdict == "MISSED")]
    return [f.name for f in figures if f.verdict == "MISSED"]


def small_of(name: str) -> list[str]:
    """The command that measures the small form of one module."""
    return [sys.executable, "-m", "benchmarks", name, "--small"]


def side_by_side(modules: Sequence[str], command: Callable[[str], list[str]] = small_of) -> list[str]:
    """Each module in a process of its own, the longest first, one more at once than there are cores, since many wait for servers
    that they start. Printed whole when it ends. Those that failed."""
    modules = sorted(modules, key=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST))
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        begun = {
            pool.submit(subprocess.run, command(name), capture_output=True, text=True): name
            for name in modules
        }
        bad = []
        for ended in as_completed(begun):
            done = ended.result()
            print(done.stdout + done.stderr, flush=True)
            if done.returncode:
                bad.append(begun[ended])
    return sorted(bad)


def options_of(given: argparse.Namespace, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """What was asked of one module alone. Ends the program where it belongs to another one, or to no small or long form."""
    asked: dict[str, Any] = {}
    for name, options in OPTIONS.items():
        there = {option: value for option in options if (value := getattr(given, option)) is not None}
        if there and (given.name != [name] or given.small or given.full):
            words = " ".join(f"--{option.removeprefix('as_')}" for option in there)
            parser.error(
                f"{words} belongs to: python -m benchmarks {name}, which then has no small or full form"
            )
        asked |= there
    return asked


def main() -> int:
    """Measure what was asked for, or everything. Returns the exit code: 0 where nothing was missed, 1 where something was, 2 for
    an option whose value cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*names(), []], help="default: all")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="the long form, where a module has one")
    size.add_argument("--small", action="store_true", help="the small form; times are not judged")
    parser.add_argument("--commit", help="what `before` compares with (default: HEAD~1)")
    parser.add_argument("--hours", type=int, help="hours of the `soak` (default: 2,000)")
    parser.add_argument(
        "--seed", type=int, help="what the `soak` draws its faults and steps from (default: 0)"
    )
    parser.add_argument("--bars", type=Path, help="hourly bars of the `soak` (default: a made market)")
    json_help = "what happened in the `soak` as one line of JSON, before its figures"
    parser.add_argument("--json", dest="as_json", action="store_true", default=None, help=json_help)
    given = parser.parse_args()
    asked = options_of(given, parser)
    chosen = given.name or names()
    if given.small and len(chosen) > 1:
        bad = side_by_side(chosen)
        print(f"{len(chosen)} benchmarks, failed: {', '.join(bad) or 'none'}")
        return 1 if bad else 0
    form = "run_full" if given.full else "run_small" if given.small else "run"
    try:
        figures = [figure for name in chosen for figure in measure(name, form, asked)]
    except ConfigError as error:
        terminal.say(f"{type(error).__name__}: {error}", "error")
        return error.exit_code
    missed = failed(figures, given.small)
    print(f"{len(figures)} figures, {'failed' if given.small else 'missed'}: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
