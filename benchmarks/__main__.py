"""`python -m benchmarks [NAME ...]`: every module here named bench_NAME.py, each with run() -> list of figures.

Numbers are ratios or medians within one run, since the machine is shared. The exit code says whether any was missed.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

from benchmarks.figure import Figure
from trader import terminal

HERE = Path(__file__).parent


def names() -> list[str]:
    """What there is to measure."""
    return sorted(file.stem.removeprefix("bench_") for file in HERE.glob("bench_*.py"))


def measure(name: str, full: bool = False) -> list[Figure]:
    """The figures of one module, printed as soon as they are known."""
    began = time.perf_counter()
    module = importlib.import_module(f"benchmarks.bench_{name}")
    figures: list[Figure] = module.run_full() if full and hasattr(module, "run_full") else module.run()
    title = f"{name} ({time.perf_counter() - began:.0f} s, load {os.getloadavg()[0]:.1f})"
    print(terminal.table(title, [figure.row() for figure in figures], ("", "measured", "target", "")))
    for figure in figures:
        if figure.note:
            print(f"  {figure.name}: {figure.note}")
    print(flush=True)
    return figures


def main() -> int:
    """Measure what was asked for, or everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*names(), []], help="default: all")
    parser.add_argument("--full", action="store_true", help="the long form, where a module has one")
    given = parser.parse_args()
    figures = [figure for name in given.name or names() for figure in measure(name, given.full)]
    missed = [figure.name for figure in figures if figure.verdict == "MISSED"]
    print(f"{len(figures)} figures, missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
