"""Parameters as they arrive: raw bytes are signed, then read by name, and each is checked for its own syntax."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from decimal import Decimal
from urllib.parse import parse_qsl

from trader.exchange.replies import ApiError

DECIMAL = re.compile(r"([0-9]{1,20})(\.[0-9]{1,20})?")
INTEGER = re.compile(r"[0-9]{1,20}")
WINDOW = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")
ASSET_PRECISION = 8
MAX_RECV_WINDOW_MS = 60_000
DEFAULT_RECV_WINDOW_MS = 5_000
AHEAD_MS = 1_000
# Binance tells microseconds from milliseconds by their size alone.
MICROSECONDS_FROM = 10**14


class RequestParams:
    """The parameters of one request; remembers which were read, so that strays can be refused."""

    def __init__(self, query: bytes, body: bytes) -> None:
        # A name in both places counts once, and the query string wins.
        self._values = {**_pairs(body), **_pairs(query)}
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        """The value, or None where it was not sent; sent but empty is refused."""
        self._read.add(name)
        value = self._values.get(name)
        if value == "":
            raise ApiError(-1105, f"Parameter '{name}' was empty.")
        return value

    def needed(self, name: str) -> str:
        """The value of a parameter that must be there."""
        value = self.text(name)
        if value is None:
            raise missing(name)
        return value

    def decimal(self, name: str) -> Decimal | None:
        """A plain decimal with at most eight places; an exponent or a sign is refused."""
        text = self.text(name)
        if text is None:
            return None
        if not DECIMAL.fullmatch(text):
            raise ApiError(
                -1100,
                f"Illegal characters found in parameter '{name}'; legal range is "
                "'^([0-9]{1,20})(\\.[0-9]{1,20})?$'.",
            )
        if len(text.partition(".")[2]) > ASSET_PRECISION:
            raise ApiError(-1111, f"Parameter '{name}' has too much precision.")
        return Decimal(text)

    def integer(self, name: str) -> int | None:
        """A whole number."""
        text = self.text(name)
        if text is None:
            return None
        if not INTEGER.fullmatch(text):
            raise ApiError(
                -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
            )
        return int(text)

    def moment(self, name: str) -> int | None:
        """A time in UTC milliseconds; microseconds are recognised and brought down."""
        value = self.integer(name)
        return value // 1000 if value is not None and value >= MICROSECONDS_FROM else value

    def limit(self, default: int, most: int) -> int:
        """The page size: more than the endpoint allows is brought down, zero is refused."""
        value = self.integer("limit")
        if value == 0:
            raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
        return default if value is None else min(value, most)

    def flag(self, name: str, default: bool) -> bool:
        """A boolean written true or false, in any case."""
        text = self.text(name)
        if text is None:
            return default
        if text.lower() not in ("true", "false"):
            raise ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")
        return text.lower() == "true"

    def finish(self) -> None:
        """Refuse parameters that nobody read."""
        unread = set(self._values) - self._read
        if unread:
            sent = len(self._values)
            raise ApiError(
                -1104,
                f"Not all sent parameters were read; read '{sent - len(unread)}' parameter(s) but was sent '{sent}'.",
            )

    def recv_window(self) -> Decimal:
        """How long the request stays good after its timestamp, in milliseconds."""
        text = self.text("recvWindow")
        if text is None:
            return Decimal(DEFAULT_RECV_WINDOW_MS)
        if not WINDOW.fullmatch(text):
            raise ApiError(-1130, "Data sent for parameter 'recvWindow' is not valid.")
        if Decimal(text) > MAX_RECV_WINDOW_MS:
            raise ApiError(-1131, "recvWindow must be less than 60000")
        return Decimal(text)

    def timestamp(self) -> int:
        """The client's idea of the time, UTC milliseconds."""
        text = self._values.get("timestamp", "")
        self._read.add("timestamp")
        if not INTEGER.fullmatch(text):
            raise missing("timestamp")
        value = int(text)
        return value // 1000 if value >= MICROSECONDS_FROM else value


def named_symbols(query: bytes, body: bytes) -> list[str]:
    """The symbols that a request names, by `symbol` or by `symbols`, whatever else may be wrong with it."""
    pairs = [*parse_qsl(body.decode("utf-8", "replace")), *parse_qsl(query.decode("utf-8", "replace"))]
    values = dict(pair for pair in pairs if pair[0] in ("symbol", "symbols"))
    if "symbols" not in values:
        return list(values.values())
    try:
        many = json.loads(values["symbols"])
    except (ValueError, RecursionError):
        many = []
    one = [values["symbol"]] if "symbol" in values else []
    return one + [name for name in many if isinstance(name, str)] if isinstance(many, list) else one


def _pairs(raw: bytes) -> dict[str, str]:
    pairs = parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True)
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ApiError(-1101, "Duplicate values for a parameter detected.")
    return values


def missing(name: str) -> ApiError:
    """The refusal for a mandatory parameter that is not there."""
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def check_timing(params: RequestParams, now_ms: int) -> None:
    """Binance's rule: less than 1000 ms ahead of the server, at most recvWindow behind it."""
    timestamp, window = params.timestamp(), params.recv_window()
    if timestamp >= now_ms + AHEAD_MS:
        raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - timestamp > window:
        raise ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")


def signed_payload(query: bytes, body: bytes) -> tuple[bytes, str]:
    """The very bytes that must have been signed, and the signature sent with them ('' if none).

    Query string and body follow each other without a separator, as they were on the wire; only the signature
    itself is taken out. Nothing is decoded or encoded again: two spellings of one text are two payloads.
    """
    signature = ""
    kept = []
    for part in (query, body):
        pieces = []
        for piece in part.split(b"&") if part else ():
            if piece.startswith(b"signature="):
                signature = piece[len(b"signature=") :].decode("ascii", "replace")
            else:
                pieces.append(piece)
        kept.append(b"&".join(pieces))
    return b"".join(kept), signature


def signature_is_valid(secret: bytes, query: bytes, body: bytes) -> bool:
    """HMAC-SHA256 over the bytes received, hexadecimal in any case."""
    payload, signature = signed_payload(query, body)
    expected = hmac.new(secret, payload, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.lower().encode())
