"""Tests of families whose libraries only `make families` installs: elsewhere there is nothing to collect here."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.support.groups import grouped

collect_ignore_glob = [] if find_spec("statsforecast") and find_spec("prophet") else ["test_*.py"]

# The longest first. A file's tests share models that are trained once a process; those of test_parity share nothing.
FIRST = (
    "test_a_loop_of_ticks_writes_the_same_lines[tft]",
    "test_tft_ray",
    "test_tft",
    "test_story",
    "test_pipeline_notebook",
)
APART = "test_parity"


def group_of(item: pytest.Item) -> str:
    """The file of a test, or the test's own name."""
    return item.name if item.path.stem == APART else item.path.stem


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups, the longest first. Tests of other folders are given to any worker, as ever."""
    here = [item for item in items if item.path.parent.name == "families"]
    others = [item for item in items if item.path.parent.name != "families"]
    grouped(here, group_of, FIRST)
    items[:] = [*others, *here]
