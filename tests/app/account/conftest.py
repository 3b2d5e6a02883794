"""The bot and the exchange that the crash tests kill, for what else may happen to an account."""

from __future__ import annotations

from tests.crash.conftest import begun, fresh, gappy_bars

__all__ = ["begun", "fresh", "gappy_bars"]
