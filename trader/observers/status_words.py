"""The report of `trader status` as one screen for a person."""

from __future__ import annotations

from typing import Any

from trader.app.cursors import standing_in_words
from trader.core.text import plural
from trader.terminal import paragraph, percent

LABEL_WIDTH = 12


def screen(title: str, report: dict[str, Any], clock: str = "") -> str:
    """Label and text, at most 80 columns; the title says where the market is no real one. clock: what there is to say of the
    clock that hours close by, nothing where that is this machine's."""
    if report.get("market"):
        title = f"{title} ({report['market']})"
    lines = [("state", f"{report['state']}: {report['why']}"), *_halted(report.get("halt"))]
    lines += _trouble(report.get("trouble"))
    if clock:
        lines.append(("clock", clock))
    if report.get("stream"):
        lines.append(("stream", report["stream"]))
    if "line" in report:
        lines += [
            ("last hour", _hour(report["hour"], report["line"])),
            ("position", _holding(report["holding"])),
            *_results(report["results"]),
            ("model", _champion(report["champion"])),
            *_next(report["next"], report["window"], report["retrain_rule"]),
            ("cooldown", allowance(report["retrain"])),
            *drift_rows(report["drift"], report["retrain"]),
            *_observers(report["observers"]),
        ]
    else:
        lines.append(("next", report["next"]["do"]))
    rows = [paragraph(f"{label:<{LABEL_WIDTH}}  {text}".rstrip(), LABEL_WIDTH + 2) for label, text in lines]
    head = paragraph(title)
    return "\n".join([head, "-" * max(map(len, head.splitlines())), *rows])


def _halted(halt: dict[str, Any] | None) -> list[tuple[str, str]]:
    if not halt:
        return []
    held = "kept" if halt["freeze"] else "sold by the next tick"
    way = f'docs/runbook.md says what {halt["reason"]} means; when its cause is gone: trader resume --reason "..."'
    return [("halt", f"what is held is {held}; {way}")]


def _trouble(trouble: dict[str, Any] | None) -> list[tuple[str, str]]:
    if not trouble:
        return []
    return [
        ("trouble", f"ticks fail since {trouble['since']} (exit {trouble['exit_code']}): {trouble['words']}")
    ]


def _hour(hour: str, line: dict[str, Any]) -> str:
    p_up = "no P(up)" if line["p_up"] is None else f"P(up) {line['p_up']:.4f}"
    if line["order_side"] is None:
        return f"{hour}: {p_up}, {line['target']}, no order ({line['reason']})"
    filled = (
        "not filled"
        if line["fill_price"] is None
        else f"filled at {line['fill_price']}, fee {line['fee']} USDT"
    )
    return f"{hour}: {p_up}, {line['target']}, {line['order_side']} {line['order_qty']} ({line['reason']}) {filled}"


def _holding(held: dict[str, Any]) -> str:
    worth, cash, equity = (_usdt(held[key]) for key in ("worth_usdt", "cash_usdt", "equity_usdt"))
    said = f"{held['position']}, worth {worth} at {held['mark']}, and {cash} in cash: equity {equity}"
    if not held["unconfirmed"]:
        return said
    return f"{said}, unconfirmed: the close {held['close']} is beyond the price band and counts once it is confirmed"


def _results(results: dict[str, Any]) -> list[tuple[str, str]]:
    hit = "-" if results["hit_rate"] is None else f"{results['hit_rate'] * 100:.2f} %"
    net, epoch = percent(results["net_return"]), percent(results["epoch_return"])
    fall = f"{results['drawdown'] * 100:.2f} % below its peak"
    return [
        ("results", f"net {net} since the first hour, compounded; this risk epoch {epoch}, {fall}"),
        *_hold(results["buy_and_hold"]),
        ("", f"{plural(results['orders'], 'order')}, fees {_usdt(results['fees_usdt'])}"),
        ("", f"hit rate {hit} of {plural(results['scored'], 'prediction')}"),
    ]


def _hold(net_return: float | None) -> list[tuple[str, str]]:
    return [] if net_return is None else [("", f"buy and hold {percent(net_return)} over the same period")]


def _champion(champion: dict[str, Any] | None) -> str:
    if champion is None:
        return "none serves the next hour: trader retrain"
    late = "; the calendar's newer one is late" if champion["late"] else ""
    why = champion["words"] or champion["why"]
    return (
        f"{champion['model_id']} ({champion['family']}), serves since {champion['valid_from']} "
        f"({champion['age_hours'] / 24:.1f} d): {why}{late}"
    )


def _next(
    coming: dict[str, Any], window: dict[str, Any] | None, rule: dict[str, Any]
) -> list[tuple[str, str]]:
    rows = [("next tick", f"{coming['hour']}: {coming['do']}")]
    if coming["refit"]:
        rows.append(
            (
                "next refit",
                f"serves from {coming['refit']}, trained from {coming['refit_is_trained_from']} on",
            )
        )
    rows.append(("breach", f"{_window(window)}; looked at from {coming['breach_from']} on"))
    if rule["own"]:
        rows.append(("", "this rule began with these hours; the settings' rule does not count for them"))
    last = coming["last_breach"]
    return [*rows, ("", f"last one {last['at']}: {last['why']}")] if last else rows


def _window(window: dict[str, Any] | None) -> str:
    if window is None:
        return "too few hours for the rule's window"
    said = [f"last {window['hours']} h net {percent(window['net_return'])}"]
    if window["net_return_below"] is not None:
        said[-1] += f" (below {percent(window['net_return_below'])} retrains)"
    if window["hit_rate"] is not None:
        said.append(f"{window['hit_rate'] * 100:.1f} % right")
        if window["hit_rate_below"] is not None:
            said[-1] += f" (below {window['hit_rate_below'] * 100:.0f} % retrains)"
    return ", ".join(said)


def allowance(left: dict[str, Any]) -> str:
    """The cooldown that runs, and what the budget of breaches leaves."""
    until, budget = left["cooldown_until"], left["budget"]
    said = f"until {until} ({left['cooldown_left_hours']:,} h left)" if until else "none runs"
    done = f"{left['breaches']} in the last {left['budget_days']} days"
    if budget is None:
        return f"{said}; breaches: {done}, no budget is set"
    spent = f": none until {left['budget_from']}" if left["budget_from"] else ""
    return f"{said}; breaches: {done}, the budget has {left['budget_left']} of {budget} left{spent}"


DRIFT_NAMES = {"psi": "PSI", "ks": "KS", "calibration": "calibration decay"}


def drift_rows(drift: dict[str, Any] | None, left: dict[str, Any]) -> list[tuple[str, str]]:
    """Each measure beside what chance explains, and what follows; nothing without the rule."""
    if drift is None:
        return []
    if drift["why"]:
        return [("drift", drift["why"])]
    seen = drift["measures"]
    values = ", ".join(f"{DRIFT_NAMES[name]} {_measure(row)}" for name, row in seen.items())
    return [("drift", f"last {drift['hours']} h {values}; {_verdict(seen, left)}")]


def _verdict(seen: dict[str, Any], left: dict[str, Any]) -> str:
    above = [DRIFT_NAMES[name] for name, row in seen.items() if row["above"]]
    if above:
        later = ", when the line above allows it" if left["cooldown_until"] or left["budget_from"] else ""
        return f"{' and '.join(above)} beyond chance: retrains{later}"
    unknown = any(row["above"] is None for row in seen.values())
    return "too little is known" if unknown else "no more than chance explains"


def _measure(row: dict[str, Any]) -> str:
    value, limit = row["value"], row["limit"]
    if value is None or limit is None:
        return "unknown"
    return f"{value:.3f} ({'above' if row['above'] else 'below'} {limit:.3f})"


def _observers(standing: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """A row for each that is behind or in trouble, one for all the others."""
    told = [row["name"] for row in standing if not row["behind_hours"] and not row["failures"]]
    rows = [f"{', '.join(told)}: told of every closed hour"] if told else []
    rows += [standing_in_words(row) for row in standing if row["behind_hours"] or row["failures"]]
    return [("observers" if not i else "", text) for i, text in enumerate(rows)]


def _usdt(amount: str) -> str:
    return f"{float(amount):,.2f} USDT"
