"""Which tests run one after another on one worker of pytest, and which groups begin first: for `--dist loadgroup`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest


def grouped(items: list[pytest.Item], group_of: Callable[[pytest.Item], str], first: Sequence[str]) -> None:
    """Mark each test with its group, and put the groups named by `first` before all others, in that order. What begins last
    should be short: nothing runs beside the end of the longest."""
    place = {name: i for i, name in enumerate(first)}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    items.sort(key=lambda item: place.get(group_of(item), len(place)))
