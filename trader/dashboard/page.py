"""One static page: is the bot well, what did it do last, what does it believe, what happens next."""

from __future__ import annotations

from importlib import resources
from typing import Any

from trader.core.errors import ConfigError
from trader.core.text import how_to_install, plural
from trader.core.types import Json
from trader.dashboard.fan import fan
from trader.dashboard.figures import figures, span_of

LIBRARY = "plotly.min.js"
# Chromium compiles a script that begins so at once, beside the page's own work, and not each function when it is first
# called, while the page waits; to every other browser it is a comment.
EAGERLY = b"//# allFunctionsCalledOnLoad\n"


def render(view: Json, series: Json, *, public: bool = False, library: str = LIBRARY) -> str:
    """The page. `view` is what the composition root gathered; `library` is the figure library's address beside it.

    A public page tells shares and prices, no amounts and no ids. Raises ConfigError without the `observability` extra.
    """
    drawn = figures(series, view, public) if series["hours"] else []
    if drawn and view.get("fan"):
        drawn.insert(1, fan(view["fan"]))
    rows = [_row(record, view, public) for record in reversed(series["audit"])]
    span = span_of(series) if series["hours"] else ""
    return filled("page.html", v=view, figures=drawn, rows=rows, span=span, public=public, library=library)


def filled(template: str, **values: Any) -> str:
    """A template of this room with its values, styled and with its script. Raises ConfigError without the `observability`
    extra."""
    try:
        import jinja2
    except ImportError:
        raise ConfigError(f"the dashboard needs jinja2: {how_to_install('observability')}") from None
    room = resources.files("trader.dashboard")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "hour": hour, "plural": plural}
    script, style = room.joinpath("page.js").read_text(), room.joinpath("page.css").read_text()
    return environment.from_string(room.joinpath(template).read_text()).render(
        script=script, style=style, **values
    )


def library_bytes() -> bytes:
    """The figure library, to lie beside the page. Raises ConfigError without the `observability` extra."""
    try:
        return EAGERLY + resources.files("plotly").joinpath("package_data", LIBRARY).read_bytes()
    except ModuleNotFoundError:
        raise ConfigError(f"the dashboard needs plotly: {how_to_install('observability')}") from None


def _row(record: Json, view: Json, public: bool) -> Json:
    """An hour of the table: the line, and what opens below it."""
    line, known = record["line"], view["all_ranges"].get(record["model_id"], {})
    features = [
        {
            "name": name,
            "value": value,
            "low": known[name][0] if name in known else None,
            "high": known[name][-1] if name in known else None,
            "outside": bool(
                name in known and value is not None and not known[name][0] <= value <= known[name][-1]
            ),
        }
        for name, value in record["features"].items()
    ]
    fills = [
        {"side": fill["side"], "price": fill["price"], "qty": None if public else fill["qty"]}
        for fill in record["fills"]
    ]
    return {
        "hour": line["close_time"],
        "close": record["close"],
        "p_up": line["p_up"],
        "target": line["target"],
        "side": line["order_side"],
        "qty": None if public else line["order_qty"],
        "price": line["fill_price"],
        "expected": record["expected_price"],
        "fee": None if public else line["fee"],
        "equity": None if public else line["equity"],
        "unconfirmed": record.get("unconfirmed", False),  # an audit row of an earlier version does not say
        "reason": line["reason"],
        "model_id": record["model_id"],
        "late": record["model_late"],
        "features": features,
        "fills": fills,
        "close_ms": record["close_time"],
    }


def percent(share: float | None, digits: int = 2) -> str:
    """A share as a signed percentage, a dash for none."""
    return "–" if share is None else f"{share * 100:+.{digits}f} %"


def hour(text: str | None) -> str:
    """An ISO time to the minute, for a person."""
    return "–" if text is None else f"{text[:10]} {text[11:16]}"
