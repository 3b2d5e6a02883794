"""What the exchange answers with: replies, refusals, and decimals as Binance writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

JSON_TYPE = "application/json;charset=UTF-8"
EIGHT = Decimal("1e-8")


@dataclass(slots=True)
class Reply:
    """An answer and how it goes out. `ending` and the two rates are how faults spoil a delivery.

    ending: "" sends it whole, "silence" sends nothing and waits for the peer to go, "close" ends the connection without a
    word, "reset" ends it with a TCP RST, "truncate" sends `sent_bytes` of the body and ends it, "hang_up" sends it whole and
    then ends the connection without having said so.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    ending: str = ""
    sent_bytes: int = 0
    drip_bytes_per_s: float = 0.0
    note: str = ""


class ApiError(Exception):
    """A refusal in Binance's shape: an HTTP status and `{"code": ..., "msg": ...}`."""

    def __init__(
        self, code: int, msg: str, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{code} {msg}")
        self.code, self.msg, self.status, self.headers = code, msg, status, dict(headers or {})

    def reply(self) -> Reply:
        """The refusal as an answer on the wire."""
        return Reply(self.status, dump({"code": self.code, "msg": self.msg}), self.headers)


def dump(value: Any) -> bytes:
    """Compact JSON, as Binance sends it."""
    return json.dumps(value, separators=(",", ":")).encode()


def eight(value: Decimal) -> str:
    """A decimal with eight places, or with more where money would be lost."""
    text = format(value, ".8f")
    return text if Decimal(text) == value else format(value, "f")
