"""A kitchen for every test of pipelines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.kit import Kitchen


@pytest.fixture
def kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kitchen:
    """A pipeline of one symbol, forecast by the naive family, in a fresh folder."""
    made = Kitchen(tmp_path, monkeypatch, capsys)
    made.write()
    return made
