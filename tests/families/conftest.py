"""Tests of families whose libraries only `make families` installs: elsewhere there is nothing to collect here."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from xdist.remote import Producer

from tests.support.groups import GroupScheduling, in_order

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


def group_of(file: str, name: str) -> str:
    """The file of a test, or the test's own name."""
    return name if file == APART else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """A group stays on one worker."""
    return GroupScheduling(config, log, group_of)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups, the longest first. Tests of other folders stay before them, in their own order."""
    here = [item for item in items if item.path.parent.name == "families"]
    others = [item for item in items if item.path.parent.name != "families"]
    items[:] = [*others, *in_order(here, group_of, FIRST)]
