"""Imported by the fork server: both command lines, built from their functions' signatures once. Each command builds its own
anew, which is more than half of what a short one costs; what is built is the same."""

from __future__ import annotations

from typer.main import get_command

import backtest.cli
import trader.cli

for program in (trader.cli, backtest.cli):
    vars(program)["app"] = get_command(vars(program)["app"])
