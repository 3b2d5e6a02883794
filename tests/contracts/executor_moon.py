"""An executor as somebody would add it, for the test that adds it: one file."""

from __future__ import annotations

from backtest.executors.futures import InProcess
from backtest.executors.protocol import Executor
from backtest.executors.registry import Setup

SETUPS: list[Setup] = []


def open_executor(setup: Setup) -> Executor:
    """What the registry calls."""
    SETUPS.append(setup)
    return InProcess()
