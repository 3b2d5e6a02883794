"""What one server takes on: bodies, rows, time. What is more is refused with 413, 422, or 503 and Retry-After."""

from __future__ import annotations

from dataclasses import dataclass

# Bars of one request. A row of features reads at most the anchor and a month before it.
MOST_BARS = 5_000
# Forecasts of one `requests` list, and rows of one tensor.
MOST_REQUESTS = 100
MOST_ROWS = 4_096
# Rows of so many features are scored at once on the event loop: a thread would take longer to wake than they to be scored.
INLINE_ROWS = 8


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bytes and seconds of a request, and how many at once.

    body_bytes: largest body. bodies_bytes: all bodies that are being received, together. head_s, body_s: how long a client may
    take to send a request's head, and its body; until then it holds a connection and nothing else. answer_s: from the last byte
    of a request to its answer, or to 503. connections: beyond these a client is told 503 as it connects. waiting: requests that
    wait for their turn on the event loop; one more is told 503 before it is read. computations: predictions in flight, running
    or waiting for a thread. refresh_s: between two looks for a new champion and a new hour.
    """

    body_bytes: int = 1 << 20
    bodies_bytes: int = 64 << 20
    head_s: float = 5.0
    body_s: float = 5.0
    answer_s: float = 0.9
    connections: int = 1_024
    waiting: int = 128
    computations: int = 16
    refresh_s: float = 2.0
    stop_s: float = 8.0
