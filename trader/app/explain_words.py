"""An explained hour for a person: the same facts as the JSON, in the order of cause and effect."""

from __future__ import annotations

import textwrap

from trader.core.model import rows_in_words
from trader.core.text import plural, visible
from trader.core.types import Json

BAR_WIDTH = 6
WIDTH, MARGIN = 80, " " * 10


def words(told: Json) -> str:
    """What `explain` found, as text of about a screen."""
    lines = [f"{told['symbol']} {told['hour']}, close {told['bar']['close']}{_bar_note(told)}", ""]
    lines += [_model(told), ""]
    lines += _features(told)
    lines += [
        "",
        *terms_in_words(told["terms"]),
        _belief(told),
        *_distribution(told),
        *_book(told["book"]),
        *_hold(told["hold"]),
        _risk(told["risk"]),
        _decision(told["decision"]),
    ]
    lines += [_attempt(row) for row in told["attempts"]]
    if told["cost"]:
        lines.append(_cost(told["cost"]))
    if told["after"]:
        lines.append(f"after     position {told['after']['position']}, equity {told['after']['equity']}")
    else:
        lines.append("after     the hour is not closed yet; the next tick closes it")
    return "\n".join(map(visible, lines))


def _bar_note(told: Json) -> str:
    return " (the hour's own bar is missing)" if told["bar"]["gap"] else ""


def _model(told: Json) -> str:
    model = told["model"]
    late = "; its successor is late" if model["late"] else ""
    return (
        f"model     {model['id']} ({model['family']}), trained on {rows_in_words(model['rows'], len(model['symbols']))} "
        f"{model['trained_from']} to {model['trained_until']}{late}"
    )


def _features(told: Json) -> list[str]:
    if not told["features"]:
        reads = f"{told['model']['family']} reads the bars themselves"
        return ["features  none: " + (told["no_p_up"] or reads)]
    shares = told["contributions"]
    largest = max((abs(share) for share in shares.values()), default=0.0) or 1.0
    head = f"{'feature':<16}{'value':>11}{'trained on':>22}{'below it':>10}"
    lines = [head + "  adds to log-odds" if shares else head]
    for row in told["features"]:
        value = "-" if row["value"] is None else f"{row['value']:.6g}"
        known = "-" if row["low"] is None else f"{row['low']:.5g} .. {row['high']:.5g}"
        place = "-" if row["place"] is None else f"{row['place'] * 100:.0f} %"
        share = shares.get(row["name"])
        made = "" if share is None else f"{share:+.4f} " + _strip(share / largest)
        mark = " outside" if row["outside"] else ""
        lines.append(f"{row['name']:<16}{value:>11}{known:>22}{place:>10}  {made}{mark}".rstrip())
    if told["base"] is not None:
        lines.append(f"{'(base)':<59}  {told['base']:+.4f}")
    return lines


def _strip(share: float) -> str:
    return ("+" if share > 0 else "-") * round(abs(share) * BAR_WIDTH)


def terms_in_words(terms: Json) -> list[str]:
    """What a model without features is made of, as many terms a line as fit the screen."""
    shown = [
        f"{name} {value if isinstance(value, str) else format(value, '.6g')}" for name, value in terms.items()
    ]
    whole = ", ".join(it.replace(" ", "\0") for it in shown)
    lines = textwrap.wrap(whole, WIDTH - len(MARGIN), break_on_hyphens=False)
    return [
        (f"{'terms':<10}" if i == 0 else MARGIN) + line.replace("\0", " ") for i, line in enumerate(lines)
    ]


def _belief(told: Json) -> str:
    if told["p_up"] is None:
        return f"P(up)     none ({told['no_p_up']}); what is held is kept"
    return f"P(up)     {told['p_up']}; enters at {told['enter_at']:g}, leaves at {told['leave_at']:g}"


def _distribution(told: Json) -> list[str]:
    """The middle half and the middle 95 % of the returns that the family expects, where it says so."""
    at = {row["level"]: row["return"] for row in told["quantiles"]}
    if not at or told["p_up"] is None:
        return []
    half, most = f"{at[0.25]:+.2%} to {at[0.75]:+.2%}", f"{at[0.025]:+.2%} to {at[0.975]:+.2%}"
    return [f"return    of {told['horizon_hours']} h: half of all from {half}, 95 % from {most}"]


def _hold(hold: Json | None) -> list[str]:
    if hold is None:
        return []
    alone = {None: "and there is no P(up)", hold["held"]: f"and P(up) says {hold['held']} too"}.get(
        hold["by_p_up"], f"although P(up) says {hold['by_p_up']}"
    )
    return [
        f"hold      {hold['held']} was entered at {hold['entered_at']} for {hold['horizon_hours']} h, so it is kept until "
        f"{hold['until']}, {alone}"
    ]


def _book(word: Json | None) -> list[str]:
    """What the book of many symbols said of the hour, and the cash that it moved; nothing without one."""
    if word is None:
        return []
    if not word["known"]:
        return ["book      its record of this hour is not in the store"]
    amount = float(word["transfer"])
    moved = "no cash moved" if not amount else f"{abs(amount):,.2f} USDT {'came' if amount > 0 else 'went'}"
    share = "" if word["weight"] is None else f" by a share of {float(word['weight']):.2%}"
    state = f"halted ({word['halt_reason']})" if word["halted"] else "not halted"
    late = f", late: {', '.join(word['late'])}" if word["late"] else ""
    head = f"{word['reason']}: " if word["reason"] else ""
    allowed = f"; {word['limit']} allows purchases of {word['most_usdt']} USDT" if "limit" in word else ""
    return [
        f"book      {head}{moved}{share}; the book's equity is {float(word['equity']):,.2f} USDT, of that in no symbol "
        f"{float(word['reserve']):,.2f}; {state}{late}{allowed}"
    ]


def _risk(risk: Json) -> str:
    limit = risk["halt_cumulative_return"]
    text = f"risk      equity {risk['equity_before']}, {risk['cumulative_return']:+.2%} since the epoch began"
    text += f", unconfirmed: marked at {risk['mark']}" if risk["unconfirmed"] else ""
    text += "" if limit is None else f" (halts at {limit:+.0%})"
    text += f", drawdown {risk['drawdown']:.2%}"
    text += "" if risk["halt_drawdown"] is None else f" (halts at {risk['halt_drawdown']:.0%})"
    return text + (f"; halted at {risk['halted_at']}: {risk['halt_reason']}" if risk["halted_at"] else "")


def _decision(made: Json) -> str:
    before = f"held {made['position_before']}, cash {made['cash_before']}"
    if made["side"] is None:
        return f"decision  {made['target']}, no order ({made['reason'] or 'nothing to change'}); {before}"
    return (
        f"decision  {made['target']}: {made['side']} {made['qty']} at about {made['expected_price']} "
        f"({made['reason']}); {before}"
    )


def _attempt(row: Json) -> str:
    said = f": {row['said']}" if row["said"] else ""
    return (
        f"attempt {row['n']} {row['client_order_id']} of {row['qty']}: {row['outcome']}{said}, "
        f"{plural(len(row['fills']), 'fill')}"
    )


def _cost(cost: Json) -> str:
    return (
        f"cost      paid {cost['paid_price']} for {cost['qty']} ({cost['slippage_bps']:+.2f} bps against the model's "
        f"{cost['expected_price']}), fee {cost['paid_fee_usdt']} USDT (modelled {cost['modelled_fee_usdt']})"
    )
