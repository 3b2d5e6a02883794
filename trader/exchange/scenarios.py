"""Named fault scenarios: what a real exchange and the network before it have been seen to do."""

from __future__ import annotations

from typing import Any

ORDER = {"method": "POST", "path": "/api/v3/order"}
UNKNOWN_STATE = (
    "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
)
BUSY = "Server is currently overloaded with other requests. Please try again in a few minutes."
HTML_502 = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
HTML_403 = (
    "<html><head><title>ERROR: The request could not be satisfied</title></head><body>403 ERROR</body></html>"
)
GEO = "Service unavailable from a restricted location according to 'b. Eligibility' in https://www.binance.com/en/terms."


def _first_order(phase: str, action: str, **settings: Any) -> list[dict[str, Any]]:
    return [{**ORDER, "nth": 1, "phase": phase, "action": action, **settings}]


def _reply(status: int, code: int, msg: str) -> dict[str, Any]:
    return {"status": status, "body": {"code": code, "msg": msg}}


def _html(status: int, body: str) -> dict[str, Any]:
    return {"status": status, "body": body, "headers": {"Content-Type": "text/html"}}


def _klines(edit: str, **match: Any) -> list[dict[str, Any]]:
    return [
        {
            "method": "GET",
            "path": "/api/v3/klines",
            "phase": "after",
            "action": "klines",
            "edit": edit,
            **match,
        }
    ]


def _named(scenarios: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Each fault carries its scenario's name, so the log of requests tells which one struck."""
    return {name: [{"name": name, **fault} for fault in faults] for name, faults in scenarios.items()}


SCENARIOS: dict[str, list[dict[str, Any]]] = _named(
    {
        "ok_baseline": [],
        "ping_fail_at_start": [
            {
                "method": "GET",
                "path": "/api/v3/ping",
                "nth": [1, 3],
                "action": "reply",
                **_html(502, HTML_502),
            }
        ],
        "timeout_after_commit": _first_order("after", "drop"),
        "timeout_before_commit": _first_order("before", "drop"),
        "rst_after_commit": _first_order("after", "reset"),
        "rst_before_commit": _first_order("before", "reset"),
        "late_commit": _first_order("before", "late_commit", ms=8000),
        "1007_after_commit": _first_order("after", "reply", **_reply(408, -1007, UNKNOWN_STATE)),
        "1007_not_committed": _first_order("before", "reply", **_reply(408, -1007, UNKNOWN_STATE)),
        "1006_commit": _first_order(
            "after",
            "reply",
            **_reply(
                500,
                -1006,
                "An unexpected response was received from the message bus. Execution status unknown.",
            ),
        ),
        "502_html_commit": _first_order("after", "reply", **_html(502, HTML_502)),
        "504_empty_commit": _first_order("after", "reply", status=504, body=""),
        "truncated_json_after_commit": _first_order("after", "truncate", bytes=40),
        "200_empty_body_after_commit": _first_order("after", "reply", status=200, body={}),
        "json_list_error": _first_order("after", "reply", status=500, body=[]),
        "null_error": _first_order("after", "reply", status=500, body="null"),
        "slow_drip": _first_order("after", "drip", bytes_per_s=2),
        "read_after_write_lag": [{"method": "GET", "path": "/api/v3/order", "action": "lag", "ms": 5000}],
        "duplicate_order_sent": [
            {**ORDER, "nth": 1, "phase": "after", "action": "drop"},
            {**ORDER, "nth": 2, "action": "reply", **_reply(400, -2010, "Duplicate order sent.")},
        ],
        "partial_expired_market": _first_order("before", "book", share="0.4"),
        "zero_fill_expired": _first_order("before", "book", share="0"),
        "many_fills": _first_order("before", "book", fills=3),
        "limit_then_cancel_race": [{"method": "DELETE", "path": "/api/v3/order", "nth": 1, "action": "fill"}],
        "insufficient_balance": _first_order(
            "before", "reply", **_reply(400, -2010, "Account has insufficient balance for requested action.")
        ),
        "filter_change_midrun": [
            {
                "action": "filters",
                "set": {
                    "LOT_SIZE": {"stepSize": "0.00100000", "minQty": "0.00100000"},
                    "NOTIONAL": {"minNotional": "10"},
                },
            }
        ],
        "symbol_halt": [{"action": "status", "status": "HALT"}],
        "symbol_delisted": [{"action": "status", "status": "BREAK"}],
        "symbol_cancel_only": [{"action": "status", "status": "CANCEL_ONLY"}],
        "weight_429": [{"path": "/api/*", "nth": 1, "action": "limit_429", "seconds": 30}],
        "ban_418": [{"path": "/api/*", "nth": 1, "action": "ban_418", "seconds": 120}],
        "order_429": _first_order(
            "before",
            "reply",
            status=429,
            body={"code": -1015, "msg": "Too many new orders; current limit is 100 orders per 10 SECOND."},
            headers={"Retry-After": "10"},
        ),
        "overloaded_1008": _first_order("before", "reply", **_reply(503, -1008, BUSY)),
        "waf_403_html": [{"path": "/api/*", "nth": [1, 3], "action": "reply", **_html(403, HTML_403)}],
        "geo_451": [{"path": "/api/*", "action": "reply", **_reply(451, 0, GEO)}],
        "clock_ahead_1500ms": [{"path": "/api/*", "action": "skew", "ms": -1500}],
        "clock_behind_20s": [{"path": "/api/*", "action": "skew", "ms": 20000}],
        "time_endpoint_skewed": [{"path": "/api/v3/time", "action": "skew", "ms": -4000}],
        "held_up_past_horizon": _first_order("before", "advance", ms=20000),
        "bad_signature": [{"path": "/api/*", "action": "bad_signature"}],
        "key_revoked": [{"path": "/api/*", "action": "revoke_key"}],
        "permission_false": [{"path": "/api/*", "action": "no_trade"}],
        "open_candle_included": _klines("extreme"),
        "late_candle": _klines("late"),
        "kline_gap": _klines("gap"),
        "kline_dupes_unsorted": _klines("unsorted"),
        "kline_nan_or_zero": _klines("nan"),
        "kline_short_row": _klines("short"),
        "stale_klines": _klines("stale"),
        "price_spike": _klines("spike"),
        "testnet_reset": [{"path": "/api/*", "nth": 1, "action": "wipe"}],
        "maintenance_window": [
            {
                "path": "/api/*",
                "action": "reply",
                **_reply(503, -1001, "Internal error; unable to process your request. Please try again."),
            }
        ],
        "external_trade": [
            {"path": "/api/*", "nth": 1, "action": "deposit", "asset": "USDT", "amount": "-100"}
        ],
        "redirect_302_on_order": _first_order(
            "after", "reply", status=302, body="", headers={"Location": "/api/v3/order"}
        ),
        "keepalive_close_race": _first_order("before", "close"),
        "close_after_commit": _first_order("after", "close"),
        "idle_close": [{"path": "/api/*", "action": "hang_up"}],
        "stream_silence": [{"action": "stream_silence"}],
        "stream_disconnect_24h": [{"action": "stream_disconnect", "hours": 24}],
        "stream_twice": [{"action": "stream_twice", "times": 3}],
        "stream_unordered": [{"action": "stream_unordered"}],
        "stream_late": [{"action": "stream_late", "ms": 5000}],
        "stream_lie": [{"action": "stream_lie"}],
        "stream_garbage": [{"action": "stream_garbage"}],
    }
)
