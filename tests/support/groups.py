"""Which tests run one after another on one worker of pytest, and which groups begin first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# The group of a test, by the name of its file without `.py` and its own name.
GroupOf = Callable[[str, str], str]


class GroupScheduling(LoadScopeScheduling):
    """Gives a worker a whole group at a time. xdist's own `--dist loadgroup` reads marks, and finds none with pytest 9.2."""

    def __init__(self, config: pytest.Config, log: Producer, group_of: GroupOf) -> None:
        super().__init__(config, log)
        self._group_of = group_of

    def _split_scope(self, nodeid: str) -> str:
        file, _, name = nodeid.partition("::")
        return self._group_of(PurePosixPath(file).stem, name)


def in_order(items: Sequence[pytest.Item], group_of: GroupOf, first: Sequence[str]) -> list[pytest.Item]:
    """The groups named by `first` before all others, in that order. What begins last should be short: nothing runs beside the end
    of the longest."""
    place = {name: i for i, name in enumerate(first)}
    return sorted(items, key=lambda item: place.get(group_of(item.path.stem, item.name), len(place)))
