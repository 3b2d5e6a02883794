"""The benchmarks' own frame: a number beside its target, and modules that are found by their name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks.figure import Figure, Sense

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("value", "sense", "target", "verdict"),
    [
        (0.5, "at most", 0.55, "ok"),
        (0.56, "at most", 0.55, "MISSED"),
        (0.85, "at least", 0.84, "ok"),
        (19.0, "exactly", 20.0, "MISSED"),
        (3.0, None, None, "-"),
        (None, "at most", 1.0, "not measured"),
    ],
)
def test_a_verdict_follows_from_the_target(
    value: float | None, sense: Sense | None, target: float | None, verdict: str
) -> None:
    """Reached, missed, nothing to reach, or not measured: never a silent pass."""
    assert Figure("a figure", value, sense, target).verdict == verdict


def test_a_row_is_readable() -> None:
    """Whole numbers are whole, ratios short, units behind."""
    assert Figure("rows", 35_064, "exactly", 35_064).row() == ("rows", "35,064", "exactly 35,064", "ok")
    assert Figure("wall", 0.47031, "at most", 0.55).row() == ("wall", "0.4703", "at most 0.55", "ok")
    assert Figure("peak", 207.31, "at most", 300, "MB").row() == ("peak", "207.3 MB", "at most 300 MB", "ok")


def test_every_module_of_figures_has_a_run() -> None:
    """bench_*.py without run() would be passed over by the eye and not by the door."""
    files = sorted(BENCHMARKS.glob("bench_*.py"))
    assert files
    for file in files:
        names = [node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)]
        assert "run" in names, file
