"""`trader models` and `trader explain`: what was believed, by which model, and why an hour went as it did."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader import terminal
from trader.commands.common import AsJson, StoreDir, Symbol, answer, hour_clock
from trader.commands.families import families
from trader.config import load_settings
from trader.core.errors import ConfigError
from trader.core.types import HOUR_MS, floor_hour, iso, parse_hour

if TYPE_CHECKING:
    from trader.app.journal import Journal

models = typer.Typer(
    no_args_is_help=True,
    help="The models of the store: list, card, compare, roll back; and the families of models that there are.",
)

models.command()(families)

Model = Annotated[str, typer.Argument(help="a model's id, or the beginning of it")]


def _journal(symbol: str | None, store: Any) -> Journal:
    from trader import wiring

    return wiring.make_journal(load_settings(symbol=symbol, store=store))


def _now_hour(symbol: str | None, store: Any) -> int:
    return floor_hour(hour_clock(load_settings(symbol=symbol, store=store)).now_ms)


@models.command("list")
def list_(symbol: Symbol = None, store: StoreDir = None, as_json: AsJson = False) -> None:
    """Every model that was named champion, oldest first, and which one serves.

    Example: trader models list
    """
    from trader.app.explain import newest_hour
    from trader.app.models import listed

    journal = _journal(symbol, store)
    hour = newest_hour(journal)
    rows = listed(journal, _now_hour(symbol, store) if hour is None else hour + HOUR_MS)
    if as_json:
        terminal.emit(rows)
        return
    if not rows:
        terminal.say(f"{journal.symbol}: no model yet; train one with: trader retrain")
        return
    head = ("model", "family", "serves from", "why", "trained until", "rows", "")
    table = [
        (
            r["model_id"],
            r["family"],
            terminal.minute(r["valid_from"]),
            r["why"],
            terminal.minute(r["trained_until"]),
            f"{r['rows']:,}",
            "serves" if r["serves"] else "",
        )
        for r in rows
    ]
    columns, fitting = terminal.narrowed(head, table, ("trained until", "family", "rows", "why"))
    terminal.show(terminal.table("", fitting, columns))


@models.command()
def card(model: Model, symbol: Symbol = None, store: StoreDir = None, as_json: AsJson = False) -> None:
    """A model's card: features, parameters, what it was trained on, hashes.

    Example: trader models card 20220101T00
    """
    from trader.app.certificates import certificate_words, newest_certificate
    from trader.app.models import card_of
    from trader.commands.check import certificate_rows
    from trader.core.params import params_of

    journal = _journal(symbol, store)
    its_card = card_of(journal, model)
    found: dict[str, Any] = asdict(its_card)
    if as_json:
        terminal.emit({**found, **certificate_rows(newest_certificate(journal, its_card))})
        return
    params = params_of(found.pop("params"), "the card").as_json()
    told = params.pop("model")
    ranges = found.pop("ranges")
    for name in ("valid_from", "train_from", "train_until"):
        found[name] = iso(found[name])
    found["columns"] = " ".join(found["columns"])
    found["symbols"] = " ".join(found["symbols"])
    rows = [("certificate", certificate_words(journal, its_card))]
    rows += [(key, str(value)) for key, value in {**found, **params}.items()]
    rows += [(f"model.{key}", str(value)) for key, value in told.items()]
    terminal.show(found["model_id"], "-" * len(found["model_id"]), terminal.labelled(rows))
    known = [(name, f"{v[0]:g}", f"{v[len(v) // 2]:g}", f"{v[-1]:g}") for name, v in ranges.items()]
    if known:
        terminal.show("")
        terminal.show(terminal.table("", known, ("trained on", "lowest", "median", "highest")))


@models.command()
def compare(
    one: Model, other: Model, symbol: Symbol = None, store: StoreDir = None, as_json: AsJson = False
) -> None:
    """What differs between two models.

    Example: trader models compare 20220101T00 20220131T00
    """
    from trader.app.models import card_of, differences

    journal = _journal(symbol, store)
    found = differences(card_of(journal, one), card_of(journal, other))
    if as_json:
        terminal.emit([{"what": what, "one": left, "other": right} for what, left, right in found])
        return
    if not found:
        terminal.show("the two are the same model")
        return
    terminal.show(
        terminal.table(
            "", [(what, _text(left), _text(right)) for what, left, right in found], ("", one, other)
        )
    )


def _text(value: Any) -> str:
    """A dash for what only the other model has."""
    return "-" if value is None else str(value)


@models.command()
def rollback(
    model: Model,
    reason: Annotated[str, typer.Option(help="why, for whoever reads it later")],
    serve_from: Annotated[
        str | None,
        typer.Option("--from", help="its first hour, UTC; default: the next hour of the venue's clock"),
    ] = None,
    uncertified: Annotated[
        bool,
        typer.Option(
            "--uncertified",
            help="also a model that did not pass its newest certificate, where the setting certificate demands one; --reason "
            "says why",
        ),
    ] = False,
    symbol: Symbol = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Let an earlier model serve again. Nothing is removed; the next refit replaces it in its turn.

    Example: trader models rollback 20220101T00 --reason "the new one never trades"
    """
    from trader import wiring
    from trader.app.models import card_of, roll_back

    settings = load_settings(symbol=symbol, store=store)
    journal = wiring.make_journal(settings)
    found = card_of(journal, model)
    if serve_from:
        hour = parse_hour(serve_from)
    else:
        with wiring.open_bot(settings) as bot:
            hour = floor_hour(bot.exchange.time_ms()) + HOUR_MS
    demanded = settings.demands_certificate and not uncertified
    done = roll_back(journal, found, hour, reason, certificate=demanded)
    said = {"model_id": done.model_id, "valid_from": iso(done.valid_from_ms)}
    answer(said, f"{journal.symbol}: {said['model_id']} serves from {said['valid_from']}", as_json)


def explain(
    hour: Annotated[
        str | None, typer.Argument(help="close time, UTC; default: the newest closed hour")
    ] = None,
    symbol: Symbol = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Why an hour went as it did: features, P(up) and what made it, thresholds, risk, order, replies, cost.

    Example: trader explain 2022-01-22T05
    """
    from trader.app.explain import explain as look
    from trader.app.explain import newest_hour
    from trader.app.explain_words import words
    from trader.forecasters.registry import forecaster_of

    journal = _journal(symbol, store)
    asked = parse_hour(hour) if hour else newest_hour(journal)
    if asked is None:
        raise ConfigError(
            f"{journal.symbol}: no hour is closed yet. Begin with: trader retrain, then: trader tick"
        )
    found = look(journal, forecaster_of, asked)
    if as_json:
        terminal.emit(found)
        return
    terminal.show(*(terminal.paragraph(line, 10) for line in words(found).splitlines()))
