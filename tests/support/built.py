"""Imported by the fork server: both command lines, built from their functions' signatures once. Each command builds its own
anew, which is more than half of what a short one costs; what is built is the same."""

from __future__ import annotations

from typer.main import get_command

import backtest.cli
import trader.cli

vars(trader.cli)["app"] = get_command(trader.cli.app)
WHOLE = get_command(backtest.cli.app_of())
vars(backtest.cli)["asked"] = lambda _words: WHOLE
