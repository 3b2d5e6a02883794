"""The dashboard's composition: what the store tells, folded and rendered into one page beside its figure library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from trader import terminal
from trader.app.certificates import certificate_words
from trader.app.cursors import standing_in_words
from trader.app.hold import buy_and_hold
from trader.app.journal import Journal
from trader.app.retrain import champions, deployment, load_card
from trader.app.status import status
from trader.app.story import happened
from trader.app.watch import rules_in_force
from trader.core.book import BOOK_HALT
from trader.core.errors import ConfigError, DataError
from trader.core.lifecycle import serving
from trader.core.model import RANGE_QUANTILES, ModelCard
from trader.core.model_params import told_in_words
from trader.core.params import params_of
from trader.core.text import plural
from trader.core.types import HOUR_MS, Json, iso
from trader.dashboard.page import LIBRARY, library_bytes, percent, render
from trader.dashboard.series import SCHEMA, fold, fresh
from trader.observers.fan import fan_of
from trader.observers.names import names_of
from trader.observers.status_words import allowance, drift_rows

if TYPE_CHECKING:
    from trader.config import Settings
    from trader.core.news import News

PAGE = "index.html"
LISTED = 24  # events, and as many orders: as many as a day can have


def series_key(symbol: str) -> str:
    """Where the folded hours are cached in the store; it can be made anew from the journal at any time."""
    return f"pages/{symbol}/series.json"


def series_of(journal: Journal) -> Json:
    """The folded hours, completed by the records since, and cached again."""
    cached = journal.store.get(series_key(journal.symbol))
    series = _read(cached)
    since = series["until"] + HOUR_MS if series["until"] else None
    before = series["until"]
    for record in journal.records(since):
        fold(series, record)
    if series["until"] != before:
        journal.store.put(series_key(journal.symbol), json.dumps(series, separators=(",", ":")).encode())
    return series


def cached_json(cached: bytes | None) -> object:
    """What a cache holds, None where it is not there or damaged."""
    try:
        return json.loads(cached or b"null")
    except ValueError:
        return None


def _read(cached: bytes | None) -> Json:
    series = cached_json(cached)
    return series if isinstance(series, dict) and series.get("schema") == SCHEMA else fresh()


def page_of(
    journal: Journal, settings: Settings, *, public: bool = False, library: str = LIBRARY, home: str = ""
) -> str:
    """The page as text. home: where the page of the symbol's book lies."""
    series = series_of(journal)
    view = {**view_of(journal, settings, series), "book": home}
    return render(view, series, public=public, library=library)


def write_page(
    journal: Journal,
    settings: Settings,
    folder: Path,
    *,
    public: bool = False,
    name: str = PAGE,
    home: str = "",
) -> Path:
    """Write the page and, once, its figure library into a folder. Raises ConfigError where that cannot be written."""
    page = folder / name
    terminal.write_lines(page, iter([page_of(journal, settings, public=public, home=home)]))
    write_library(folder)
    return page


def write_symbol_page(journal: Journal, settings: Settings, folder: Path, *, public: bool = False) -> Path:
    """A symbol's own page, beside the book's."""
    name = page_name(journal.symbol)
    return write_page(journal, settings, folder, public=public, name=name, home=PAGE)


def page_name(symbol: str) -> str:
    """The file of a symbol's page."""
    return f"{symbol}.html"


def write_library(folder: Path) -> None:
    """The figure library beside a page, unless it lies there. Raises ConfigError where that cannot be written."""
    library = folder / LIBRARY
    data = library_bytes()
    try:
        if not library.exists() or library.stat().st_size != len(data):
            library.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"{library} cannot be written: {error.strerror}") from None


class PageObserver:
    """An observer that writes the page anew after each hour, into the folder that the settings name."""

    name = "page"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def observe(self, news: News) -> None:
        """Write the page; what the news say is in the store already."""
        from trader import wiring

        folder = self._settings.page_dir
        if folder is None:
            return
        write = write_symbol_page if self._settings.has_book else write_page
        write(wiring.make_journal(self._settings), self._settings, folder)


def view_of(journal: Journal, settings: Settings, series: Json) -> Json:
    """What the page says beside its figures, from the status report, the champion's card and the settings."""
    report = status(journal, settings.breach_rule, drift=settings.drift_rule, observers=names_of(settings))
    rule = rules_in_force(journal, settings.breach_rule, None).breach or settings.breach_rule
    card = _champion_card(journal, series["until"] + HOUR_MS)
    params = card.params if card else {}
    thresholds = params_of(card.params, "the card").thresholds if card else None
    halted = report["state"] == "halted"
    fan, no_fan = fan_of(journal, settings, series["until"])
    return {
        "symbol": journal.symbol,
        "venue": settings.venue,
        "market": report.get("market", ""),
        "hold": _hold(journal),
        "state": report["state"],
        "colour": "bad" if halted else "good" if report["state"] == "trading" else "warn",
        "why": report["why"],
        "do": _way_out(report) if halted else "",
        "hour": report.get("hour"),
        "tiles": _tiles(report),
        "next": _next(report),
        **_happened(journal, series),
        "fan": fan,
        "no_fan": no_fan,
        "rule": {"hours": rule.hours, "net_return": rule.net_return_below, "hit_rate": rule.hit_rate_below},
        "halt_drawdown": params.get("halt_drawdown"),
        "halt_cumulative_return": params.get("halt_cumulative_return"),
        "enter_at": thresholds.enter_long if thresholds else None,
        "leave_at": thresholds.leave_long if thresholds else None,
        "ranges": card.known_ranges(journal.symbol) if card else {},
        "quantiles": list(RANGE_QUANTILES),
        "all_ranges": _ranges(journal, {record["model_id"] for record in series["audit"]}),
        "card": _card_rows(card, report, certificate_words(journal, card)) if card else [],
    }


def _way_out(report: Json) -> str:
    """What lifts the halt: of a symbol whose book is halted, the book's."""
    whole = " --book BOOK.toml" if report["halt"]["reason"] == BOOK_HALT else ""
    return f"trader resume{whole} --reason '...' after the runbook's page on it"


def _hold(journal: Journal) -> Json | None:
    """What buy and hold owns, for its line in the figure: cash in quote, position in base."""
    begun = deployment(journal)
    held = None if begun is None else buy_and_hold(journal, begun.start_ms)
    if held is None:
        return None
    return {"cash": float(held.ledger.cash), "position": float(held.ledger.position)}


def _happened(journal: Journal, series: Json) -> Json:
    """Newest first: every event for the figure, the last of them and the last orders for the page."""
    events = [
        {"at": told.at, "when": iso(told.at), "kind": told.kind, "words": told.words}
        for told in reversed(happened(journal))
    ]
    orders = [
        {"at": at, "when": iso(at), "kind": "bought" if side == "BUY" else "sold", "words": f"at {price}"}
        for at, side, price in reversed(series["traded"][-LISTED:])
    ]
    return {"happened": events, "story": events[:LISTED], "orders": orders}


def _champion_card(journal: Journal, hour: int) -> ModelCard | None:
    if deployment(journal) is None:
        return None
    champion = serving(champions(journal), hour) or next(iter(champions(journal)), None)
    return None if champion is None else load_card(journal, champion.model_id)


def _ranges(journal: Journal, model_ids: set[str]) -> Json:
    found = {}
    for model_id in sorted(model_ids):
        try:
            found[model_id] = load_card(journal, model_id).known_ranges(journal.symbol)
        except DataError:
            continue  # a model of older code still has its hours; only its ranges are not drawn
    return found


def _tiles(report: Json) -> list[Json]:
    """Name and value; `amount` marks what a public page leaves out."""
    if "results" not in report:
        return []
    results, holding, line = report["results"], report["holding"], report["line"]
    doubt = " (unconfirmed)" if holding["unconfirmed"] else ""
    hits = results["hit_rate"]
    return [
        {"name": f"net return{doubt}", "value": percent(results["net_return"]), "amount": False},
        {"name": "buy and hold", "value": percent(results["buy_and_hold"]), "amount": False},
        {"name": f"drawdown{doubt}", "value": percent(-results["drawdown"]), "amount": False},
        {
            "name": f"equity, USDT{doubt}",
            "value": f"{float(holding['equity_usdt']):,.2f}",
            "amount": True,
        },
        {"name": "position", "value": holding["position"], "amount": True},
        {"name": "holds", "value": line["target"], "amount": False},
        {
            "name": "P(up), last hour",
            "value": "–" if line["p_up"] is None else f"{line['p_up']:.4f}",
            "amount": False,
        },
        {
            "name": f"hit rate, {plural(results['scored'], 'prediction')}",
            "value": "–" if hits is None else f"{hits * 100:.2f} %",
            "amount": False,
        },
        {"name": "orders", "value": f"{results['orders']:,}", "amount": False},
        {"name": "fees, USDT", "value": f"{float(results['fees_usdt']):,.2f}", "amount": True},
    ]


def _next(report: Json) -> list[str]:
    told = report["next"]
    if "hour" not in told:
        return [told["do"]]
    lines = [f"the hour {_short(told['hour'])} UTC: {told['do']}"]
    if told["refit"]:
        lines.append(
            f"refit by the calendar serves from {_short(told['refit'])}, trained from {_short(told['refit_is_trained_from'])}"
        )
    lines.append(f"the retrain rule can be breached from {_short(told['breach_from'])}")
    if told["last_breach"]:
        lines.append(f"last breach at {_short(told['last_breach']['at'])}: {told['last_breach']['why']}")
    if report["retrain"]["cooldown_until"] or report["retrain"]["budget_from"]:
        lines.append(f"cooldown {allowance(report['retrain'])}")
    lines += [f"{label}: {words}" for label, words in drift_rows(report["drift"], report["retrain"])]
    # Those that are told after the page are an hour behind it whenever it is written.
    return lines + [standing_in_words(row) for row in report["observers"] if row["failures"]]


def _short(text: str) -> str:
    return f"{text[:10]} {text[11:16]}"


def _card_rows(card: ModelCard, report: Json, certificate: str) -> list[tuple[str, str]]:
    params = params_of(card.params, "the card")
    chosen, thresholds = told_in_words(params.model), params.thresholds
    why = (report.get("champion") or {}).get("why", "")
    return [
        ("model", card.model_id),
        ("serves from", iso(card.valid_from)),
        ("why", why),
        ("trained on", f"{card.rows_in_words}, {iso(card.train_from)} to {iso(card.train_until)}"),
        (
            "features",
            f"{card.features}: {', '.join(card.columns)}" if card.features else "reads the series itself",
        ),
        ("family", f"{card.family}{chosen and ': '}{chosen}"),
        (
            "enters, leaves",
            f"P(up) at {thresholds.enter_long:g}, {thresholds.leave_long:g}",
        ),
        ("data, code", f"{card.data_hash}, {card.code_version}"),
        ("certificate", certificate),
    ]
