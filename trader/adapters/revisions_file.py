"""Revised bars beside the collected ones: `<folder>/<symbol>-1h.revisions.jsonl`, to which lines are only added."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from trader.core.errors import ConfigError, DataError
from trader.core.revisions import BarValues, Decision, Revision
from trader.core.types import iso, parse_time
from trader.plain_file import read_plain

SCHEMA = "revision/1"


@dataclass(frozen=True, slots=True)
class RevisionsFile:
    """The revisions of every symbol of a folder."""

    folder: Path

    def path(self, symbol: str) -> Path:
        """The file of a symbol."""
        return self.folder / f"{symbol}-1h.revisions.jsonl"

    def read(self, symbol: str) -> list[Revision]:
        """All of a symbol, oldest first; none where there is no file. Raises ConfigError for a file that cannot be read,
        DataError, with its line, for what is no revision of this symbol."""
        path = self.path(symbol)
        try:
            lines = read_plain(path).decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        return [
            _revision(line, f"{path}: line {number}", symbol)
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]

    def add(self, revisions: Sequence[Revision]) -> None:
        """Append them, flushed to the disk. Raises ConfigError where that is not possible."""
        for it in revisions:
            text = json.dumps(_as_json(it), sort_keys=True) + "\n"
            path = self.path(it.symbol)
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with path.open("a", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise ConfigError(
                    f"{path}: cannot be written: {error.strerror}; set TRADER_BARS to a folder that you may write to"
                ) from None


def _as_json(it: Revision) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "symbol": it.symbol,
        "close_time": iso(it.close_time),
        "received": iso(it.received),
        "decision": it.decision,
        "older": asdict(it.older),
        "newer": asdict(it.newer),
    }


def _revision(line: str, where: str, symbol: str) -> Revision:
    try:
        read = json.loads(line)
        made = Revision(
            read["symbol"],
            parse_time(read["close_time"]),
            parse_time(read["received"]),
            _values(read["older"]),
            _values(read["newer"]),
            read["decision"],
        )
        sound = read["schema"] == SCHEMA and made.symbol == symbol and made.decision in get_args(Decision)
    except (ValueError, TypeError, KeyError, AttributeError, ConfigError):
        sound = False
    if not sound:
        raise DataError(
            f"{where}: is no revision of a bar of {symbol}; move the file aside, or correct the line"
        )
    return made


def _values(read: dict[str, Any]) -> BarValues:
    values: dict[str, Any] = {it.name: _number(read[it.name]) for it in fields(BarValues)}
    return BarValues(**values)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
