"""The page's pictures as Plotly figures in plain JSON. Colours are names of roles; the page puts in those of its theme."""

from __future__ import annotations

from typing import Any

from trader.core.drift import MUCH, SOME, population_stability
from trader.core.text import plural
from trader.core.types import HOUR_MS, Json, iso
from trader.dashboard.series import DRIFT_HOURS, rolling

LONGEST_ROLL = 30 * 24
# What happened to the bot: the role of its mark. Of many, the newest are marked.
MARKS = {"breach": "warn", "champion": "main", "halt": "bad", "resume": "good"}
MOST_MARKS = 60


def figures(series: Json, view: Json, public: bool) -> list[Json]:
    """Every picture in the order of the page: id, title, what it says in words, traces, layout. Needs one hour."""
    made = [
        equity(series, view, public),
        drawdown(series, view),
        exposure(series),
        *rolls(series, view),
        belief(series, view),
        calibration(series),
        drift(series, view),
    ]
    return [*made, costs(series)] if series["fills"] else made


def drawn_line(times: list[int], values: list[Any], name: str, role: str, **more: Any) -> Json:
    """A line of a figure, in a colour's role; `width` and `line` style it, the rest goes to the trace."""
    style = {"color": f"role:{role}", "width": more.pop("width", 1.6), **more.pop("line", {})}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": times,
        "y": values,
        "line": style,
        **more,
    }


def figure_of(id_: str, title: str, words: str, traces: list[Json], **layout: Any) -> Json:
    """A figure as the page takes it."""
    return {"id": id_, "title": title, "words": words, "data": traces, "layout": layout}


def limit_line(value: float | None, name: str, role: str = "bad") -> tuple[list[Json], list[Json]]:
    """A horizontal line with its name, as a layout's shapes and annotations; nothing for no limit."""
    if value is None:
        return [], []
    line = {"color": f"role:{role}", "width": 1.2, "dash": "dot"}
    shape = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "line": line}
    note = {
        "xref": "paper", "x": 0, "y": value, "text": name, "showarrow": False, "xanchor": "left", "yanchor": "bottom",
        "font": {"size": 11, "color": f"role:{role}"},
    }  # fmt: skip  # what is drawn, then how it looks
    return [shape], [note]


def _all(series: Json, day: int, hour: int) -> tuple[list[int], list[Any]]:
    """A column over the whole life: by its place in a daily row, then in an hourly one."""
    rows = [(row[0], row[day]) for row in series["days"]] + [(row[0], row[hour]) for row in series["hours"]]
    return [time for time, _ in rows], [value for _, value in rows]


def equity(series: Json, view: Json, public: bool) -> Json:
    """Equity, what it would be before fees, and buy and hold; an index of 100 on a public page. Orders are marked on
    it, and what happened to the bot as vertical lines."""
    first = series["first"]
    times, values = _all(series, 2, 2)
    _, closes = _all(series, 1, 1)
    _, fees = _all(series, 6, 7)
    scale = 100 / (first["equity"] or 1.0) if public else 1.0
    unit = "index, 100 at the start" if public else "USDT"
    owned = view["hold"]
    hold = (
        [round((owned["cash"] + owned["position"] * close) * scale, 2) for close in closes] if owned else []
    )
    before = [round((value + fee) * scale, 2) for value, fee in zip(values, fees, strict=True)]
    now = [round(value * scale, 2) for value in values]
    linked = bool(view.get("book"))  # fees of a symbol whose cash comes and goes cannot be added back
    words = (
        f"Equity is {now[-1]:,.2f} ({unit})"
        + (", chain-linked over the book's transfers" if linked else f"; before fees {before[-1]:,.2f}")
        + (f"; buy and hold would be {hold[-1]:,.2f}." if hold else ".")
    )
    traces = [
        drawn_line(
            times if hold else [], hold, "buy and hold, net", "other", line={"dash": "dash"}, width=1.2
        ),
        *([] if linked else [drawn_line(times, before, "before fees", "muted", width=1)]),
        drawn_line(times, now, "equity, net", "main", width=2),
        *_orders(series, dict(zip(times, now, strict=True))),
    ]
    shapes, notes = event_marks(view["happened"], times)
    title = f"Equity, {unit}"
    return figure_of("equity", title, words, traces, shapes=shapes, annotations=notes, tall=True)


def _orders(series: Json, equity: dict[int, float]) -> list[Json]:
    """Hours that bought and hours that sold, on the equity line; those that stand by the day are left out."""
    made = []
    for side, symbol, role in (("BUY", "triangle-up", "good"), ("SELL", "triangle-down", "bad")):
        rows = [(time, price) for time, was, price in series["traded"] if was == side and time in equity]
        if rows:
            made.append({
                "type": "scatter", "mode": "markers", "name": "bought" if side == "BUY" else "sold",
                "x": [time for time, _ in rows], "y": [equity[time] for time, _ in rows],
                "text": [f"at {price}" for _, price in rows],
                "marker": {"color": f"role:{role}", "symbol": symbol, "size": 8},
            })  # fmt: skip  # what is drawn, then how it looks
    return made


def event_marks(happened: list[Json], times: list[int]) -> tuple[list[Json], list[Json]]:
    """A vertical line for each event within the figure, with its kind at its head: shapes and annotations. Models that
    came by the calendar have a line only."""
    within = [event for event in happened if times[0] <= event["at"] <= times[-1]][:MOST_MARKS]
    shapes, notes = [], []
    for event in within:
        role, x = MARKS.get(event["kind"], "warn"), iso(event["at"])[:16]
        line = {"color": f"role:{role}", "width": 1, "dash": "dot"}
        shapes.append({"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": x, "x1": x, "line": line})
        if event["kind"] != "champion":
            notes.append({
                "x": x, "yref": "paper", "y": 1, "text": event["kind"], "showarrow": False,
                "xanchor": "left", "yanchor": "top", "font": {"size": 11, "color": f"role:{role}"},
            })  # fmt: skip  # what is drawn, then how it looks
    return shapes, notes


def drawdown(series: Json, view: Json) -> Json:
    """Drawdown from the running epoch's peak and return since it began, and the lines at which they halt."""
    times, values = _all(series, 7, 8)
    rows = series["hours"]
    since = [row[9] for row in rows]
    limit, least = view["halt_drawdown"], view["halt_cumulative_return"]
    shapes, notes = limit_line(None if limit is None else -limit, "halts on drawdown")
    more, also = limit_line(least, "halts on the epoch's return")
    words = f"The drawdown is {values[-1]:.2%}" + ("" if limit is None else f", it halts at {limit:.0%}")
    words += f"; the epoch's return is {since[-1]:+.2%}" + (
        "." if least is None else f", it halts at {least:+.0%}."
    )
    traces = [
        drawn_line(times, [-value for value in values], "drawdown", "bad", fill="tozeroy", width=1),
        drawn_line([row[0] for row in rows], since, "return of the epoch", "main", width=1.2),
    ]
    return figure_of(
        "drawdown",
        "Drawdown and stop limits",
        words,
        traces,
        shapes=shapes + more,
        annotations=notes + also,
        percent=True,
    )


def exposure(series: Json) -> Json:
    """Share of the time in which the bot held."""
    times, values = _all(series, 3, 3)
    share = sum(values) / len(values)
    words = f"It held {share:.0%} of the time shown."
    steps = [i for i, value in enumerate(values) if i in (0, len(values) - 1) or value != values[i - 1]]
    times, values = [times[i] for i in steps], [values[i] for i in steps]
    trace = drawn_line(times, values, "held", "main", fill="tozeroy", width=0.5, line={"shape": "hv"})
    return figure_of("exposure", "Exposure", words, [trace], percent=True, range=[0, 1])


def rolls(series: Json, view: Json) -> list[Json]:
    """Return and hit rate over the retrain rule's window, beside its thresholds."""
    hours = min(view["rule"]["hours"], LONGEST_ROLL)
    times, returns, hits = rolling(series, hours)
    made = []
    named = (("return", returns, view["rule"]["net_return"]), ("hit rate", hits, view["rule"]["hit_rate"]))
    for name, values, limit in named:
        shapes, notes = limit_line(limit, "retrains below", "warn")
        last = next((value for value in reversed(values) if value is not None), None)
        words = f"The {name} of the last {hours} hours is " + (
            "not known yet." if last is None else f"{last:.2%}."
        )
        trace = drawn_line(times, values, name, "main")
        id_ = "roll-" + name.replace(" ", "-")
        made.append(
            figure_of(
                id_,
                f"Rolling {name}, {hours} h",
                words,
                [trace],
                shapes=shapes,
                annotations=notes,
                percent=True,
            )
        )
    return made


def belief(series: Json, view: Json) -> Json:
    """P(up) of each kept hour, and the thresholds."""
    rows = series["hours"]
    times, values = [row[0] for row in rows], [row[4] for row in rows]
    shapes, notes = limit_line(view["enter_at"], "enters", "good")
    more, also = limit_line(view["leave_at"], "leaves", "warn")
    last = values[-1]
    words = (
        "There was no prediction for the last hour."
        if last is None
        else f"P(up) of the last hour was {last:.4f}."
    )
    # One path: two thousand markers take a browser longer than all else on the page.
    trace = drawn_line(times, values, "P(up)", "main", width=0.9)
    return figure_of(
        "belief", "P(up) by hour", words, [trace], shapes=shapes + more, annotations=notes + also
    )


def calibration(series: Json) -> Json:
    """Predicted probability of a rise against the actual share of rises, in bins of one hundredth."""
    rows = sorted((total / n, ups / n, n) for n, ups, total in series["bins"].values() if n)
    said, rose, counts = ([row[i] for row in rows] for i in range(3))
    scored = sum(counts)
    words = (
        f"{plural(scored, 'prediction is', 'predictions are')} scored."
        if scored
        else "No prediction is scored yet."
    )
    size = [6 + 18 * (count / max(counts)) ** 0.5 for count in counts] if counts else []
    points = {
        "type": "scatter", "mode": "markers", "name": "hours", "x": said, "y": rose, "text": [plural(n, "hour") for n in counts],
        "marker": {"color": "role:main", "size": size, "opacity": 0.7},
    }  # fmt: skip  # what is drawn, then how it looks
    ends = [min(said), max(said)] if said else []
    perfect = {
        "type": "scatter", "mode": "lines", "name": "perfect", "x": ends, "y": ends,
        "line": {"color": "role:other", "dash": "dash", "width": 1.2},
    }  # fmt: skip  # what is drawn, then how it looks
    titles = {
        "xaxis": {"title": {"text": "predicted probability of a rise"}},
        "yaxis": {"title": {"text": "actual share of rises"}},
    }
    return figure_of("calibration", "Calibration", words, [perfect, points], **titles, plain_x=True)


def drift(series: Json, view: Json) -> Json:
    """Population stability index of each feature over the last two weeks against the champion's training rows."""
    seen: dict[str, float] = {}
    for name, edges in view["ranges"].items():
        values = [row[name] for row in series["features"] if row.get(name) is not None]
        if values:
            seen[name] = round(population_stability(values, edges, view["quantiles"]), 4)
    moved = [name for name, value in seen.items() if value > MUCH]
    hours = min(len(series["features"]), DRIFT_HOURS)
    words = f"Over the last {plural(hours, 'hour')} " + (
        f"much has moved: {', '.join(moved)}." if moved else "no feature has moved much."
    )
    bars = {
        "type": "bar", "orientation": "h", "name": "PSI", "x": list(seen.values()), "y": list(seen),
        "marker": {"color": [f"role:{'bad' if v > MUCH else 'warn' if v > SOME else 'main'}" for v in seen.values()]},
    }  # fmt: skip  # what is drawn, then how it looks
    return figure_of(
        "drift", "Drift of features (PSI; above 0.25 is much)", words, [bars], plain_x=True, left=120
    )


def costs(series: Json) -> Json:
    """How much worse each fill was than the cost model's price."""
    times, worse = [fill[0] for fill in series["fills"]], [fill[1] for fill in series["fills"]]
    mean = sum(worse) / len(worse)
    words = f"The last {plural(len(worse), 'fill')}: {mean:+.2f} basis points worse than modelled on average."
    trace = {
        "type": "scatter", "mode": "markers", "name": "paid over modelled", "x": times, "y": worse,
        "marker": {"color": "role:main", "size": 6},
    }  # fmt: skip  # what is drawn, then how it looks
    return figure_of("costs", "Paid against modelled price, bps", words, [trace])


def span_of(series: Json) -> str:
    """What the page covers, in words."""
    first = series["first"]["time"]
    return f"{iso(first)[:16]} to {iso(series['until'])[:16]} UTC, {plural((series['until'] - first) // HOUR_MS + 1, 'hour')}"
