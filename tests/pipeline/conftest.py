"""A kitchen for every test of pipelines, with nothing done or with one finished run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.kit import Kitchen


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    """A pipeline of one symbol, forecast by the naive family, in a fresh folder."""
    made = Kitchen(tmp_path)
    made.write()
    return made


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Kitchen:
    """The same after its first run; nobody changes it."""
    made = Kitchen(tmp_path_factory.mktemp("first-run"))
    made.write()
    made.run()
    return made


@pytest.fixture
def finished(first_run: Kitchen, tmp_path: Path) -> Kitchen:
    """A copy of it, to be changed."""
    return first_run.copied(tmp_path)
