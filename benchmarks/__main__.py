"""`python -m benchmarks [NAME ...]`: every module here named bench_NAME.py, each with run() -> list of figures.

Numbers are ratios or medians within one run, since the machine is shared; what holds on one machine only is printed beside
a floor that was measured in the same run. The exit code says whether any was missed.

`--small` runs the small form of each: the same code and the same other side within seconds. It judges results, not
times, so a busy machine cannot fail it; a figure that could not be measured does. `before --commit REV` names what to
compare with.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.figure import Figure
from trader import terminal

HERE = Path(__file__).parent


def names() -> list[str]:
    """What there is to measure."""
    return sorted(file.stem.removeprefix("bench_") for file in HERE.glob("bench_*.py"))


def form_of(name: str, form: str, commit: str | None) -> Callable[[], list[Figure]]:
    """How a module is measured: run_full where it has one, run_small, or run; `before` against a commit."""
    module = importlib.import_module(f"benchmarks.bench_{name}")
    if commit:
        return partial(module.against, commit)
    taken: Callable[[], list[Figure]] = getattr(module, form, module.run)
    return taken


def measure(name: str, form: str = "run", commit: str | None = None) -> list[Figure]:
    """The figures of one module, printed as soon as they are known."""
    began = time.perf_counter()
    figures = form_of(name, form, commit)()
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


def main() -> int:
    """Measure what was asked for, or everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*names(), []], help="default: all")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="the long form, where a module has one")
    size.add_argument("--small", action="store_true", help="the small form; times are not judged")
    parser.add_argument("--commit", help="what `before` compares with (default: HEAD~1)")
    given = parser.parse_args()
    if given.commit and (given.name != ["before"] or given.small):
        parser.error("--commit belongs to: python -m benchmarks before, which then has no small form")
    form = "run_full" if given.full else "run_small" if given.small else "run"
    figures = [figure for name in given.name or names() for figure in measure(name, form, given.commit)]
    missed = failed(figures, given.small)
    print(f"{len(figures)} figures, {'failed' if given.small else 'missed'}: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
