"""A report as one HTML file: everything within, no script, no network, made for a desk, a phone and paper, light and dark."""

from __future__ import annotations

import json
from importlib import resources

from backtest.evidence.baselines import break_even_words
from backtest.report.charts import CHARTS
from backtest.report.data import Part
from backtest.report.drawing import NARROW, WIDE
from backtest.report.study_charts import STUDY_CHARTS
from backtest.report.weight_charts import WEIGHT_CHARTS
from trader.core.errors import ConfigError
from trader.core.text import how_to_install, plural


def page_of(report: Part) -> str:
    """The page. Raises ConfigError without the `observability` extra."""
    try:
        import jinja2
        import matplotlib  # noqa: F401 - found missing before any work
    except ImportError as error:
        raise ConfigError(f"a report needs {error.name}: {how_to_install('observability')}") from None
    drawn = (
        CHARTS | (STUDY_CHARTS if report["study"] else {}) | (WEIGHT_CHARTS if "weights" in report else {})
    )
    charts = {name: "".join(draw(report, paper) for paper in (WIDE, NARROW)) for name, draw in drawn.items()}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "number": number, "plural": plural}
    template = environment.from_string(resources.files("backtest.report").joinpath("report.html").read_text())
    return template.render(
        r=report,
        e=report["evidence"],
        break_even=break_even_words(report["evidence"]["break_even_bps"], report["summary"]["orders"]),
        charts=charts,
        settings=json.dumps(report["settings"], indent=1),
    )


def percent(share: float | None, digits: int = 2) -> str:
    """A share as a signed percentage."""
    return "–" if share is None else f"{share * 100:+.{digits}f} %"


def number(value: float | None, digits: int = 2) -> str:
    """A number with separators, a dash for none."""
    return "–" if value is None else f"{value:,.{digits}f}"
