"""What survives the exchange's death: one JSON line per change, written before the answer leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from trader.core.errors import DataError
from trader.exchange.account import Account, VenueOrder, order_from_json, order_to_json

SCHEMA = 1


class StateFile:
    """An append-only file of changes. A line is whole or it does not count: a torn last line is cut off."""

    def __init__(self, path: Path, symbols: Sequence[str]) -> None:
        self._path, self._symbols = path, sorted(symbols)
        self._handle: int | None = None

    def restore(self, account: Account) -> int:
        """Bring an account back to where the file says it was; returns the virtual time of the last change, or 0."""
        lines = self._lines()
        last_ms = 0
        for line in lines:
            last_ms = max(last_ms, line["at"])
            if line["what"] == "wipe":
                account.reset()
            for raw in line.get("orders", ()):
                account.put(order_from_json(raw))
            if "balances" in line:
                account.free = {asset: Decimal(pair[0]) for asset, pair in line["balances"].items()}
                account.locked = {asset: Decimal(pair[1]) for asset, pair in line["balances"].items()}
        account.update_time = last_ms
        self._open(is_new=not lines)
        return last_ms

    def _lines(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        raw = self._path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):
            os.truncate(self._path, len(whole))
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise DataError(f"{self._path}: not a state file of the embedded exchange ({error})") from None
        head = lines[0] if lines else self._head()
        if not isinstance(head, dict) or head | self._head() != head:
            head = head if isinstance(head, dict) else {}
            written = ", ".join(map(str, head.get("symbols") or [head.get("symbol")]))
            raise DataError(
                f"{self._path}: written for {written} in schema {head.get('schema')}, "
                f"wanted {', '.join(self._symbols)} in schema {SCHEMA}; name another --state file"
            )
        return lines

    def _head(self) -> dict[str, Any]:
        """What the first line says of the file. That of one symbol is older than the other."""
        one = len(self._symbols) == 1
        return {"schema": SCHEMA, **({"symbol": self._symbols[0]} if one else {"symbols": self._symbols})}

    def _open(self, is_new: bool) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        if is_new:
            self._write({"what": "born", "at": 0, **self._head()})

    def _write(self, line: dict[str, Any]) -> None:
        if self._handle is not None:
            # One write call for one line: a killed process leaves whole lines, and at worst one torn one.
            os.write(self._handle, json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def changed(self, what: str, at_ms: int, account: Account, orders: list[VenueOrder]) -> None:
        """Note orders as they are now, together with the balances they led to."""
        balances = {a: [format(account.free[a], "f"), format(account.locked[a], "f")] for a in account.free}
        self._write(
            {
                "what": what,
                "at": at_ms,
                "orders": [order_to_json(order) for order in orders],
                "balances": balances,
            }
        )

    def moved(self, at_ms: int) -> None:
        """Note that the clock was moved."""
        self._write({"what": "clock", "at": at_ms})

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
