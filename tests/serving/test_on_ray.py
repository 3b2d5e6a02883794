"""The application for Ray Serve: its words, and what it answers in this process."""

from __future__ import annotations

import sys

import pytest

from trader.core.errors import ConfigError
from trader.serving.on_ray import application


def test_what_cannot_be_served_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token, with an unknown word, with bounds that contradict."""
    monkeypatch.delenv("TRADER_SERVE_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="on Ray Serve TRADER_SERVE_TOKEN must be set"):
        application({})
    monkeypatch.setenv("TRADER_SERVE_TOKEN", "t" * 32)
    with pytest.raises(ConfigError, match="replicas: Extra inputs are not permitted"):
        application({"replicas": "2"})
    with pytest.raises(ConfigError, match="replicas_max 1 is below replicas_min 2"):
        application({"replicas_min": "2", "replicas_max": "1"})
    with pytest.raises(ConfigError, match="replicas_min: Input should be a valid integer"):
        application({"replicas_min": "x"})
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"Ray Serve is not installed: .*ray-serve"):
        application({})
