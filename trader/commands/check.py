"""`trader check`: a model's certificate, examined by the walk-forward of `backtest`; and the same before a promotion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from trader import terminal
from trader.commands.common import AsJson, BarsDir, BookFile, StoreDir, Symbol, traded
from trader.config import load_settings
from trader.core.errors import ConfigError, TraderError, Uncertified
from trader.core.types import FAR_FUTURE_MS, HOUR_MS, Json, floor_hour, iso
from trader.observers import process

if TYPE_CHECKING:
    from backtest.certificate.subject import RecordedHour, Subject
    from trader.app.bot import Bot
    from trader.app.certificates import Certifier, StoredCertificate
    from trader.app.journal import Journal
    from trader.config import Settings
    from trader.core.certificate import Certificate
    from trader.core.model import ModelCard
    from trader.core.prediction import LoadedModel
    from trader.core.types import Bars

# Folds of the walk-forward, by their content, in the folder of unfinished trainings.
FOLDS = "certificate-folds"

Check = Annotated[
    bool | None,
    typer.Option(
        "--check/--no-check",
        help="name the model champion only with a certificate that it passed; default: the setting certificate",
    ),
]


def check(
    model: Annotated[
        str,
        typer.Argument(
            help="a model's id or the beginning of it; champion: the newest champion, also before its first hour"
        ),
    ] = "champion",
    symbol: Symbol = None,
    book: BookFile = None,
    store: StoreDir = None,
    bars: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Examine a model and store the result as a numbered certificate beside its card. Exit 1 if it failed.

    The model must predict live what the walk-forward predicts, be as good on its newest hours, stay within bounds on extreme
    input, refuse input that it was not fitted for, and agree with its exported forms. With a book the models of all symbols are
    examined, or only that of --symbol. Example: trader check 20220101T00 --json
    """
    from trader import wiring
    from trader.app.certificates import keep
    from trader.app.models import card_to_check

    settings = load_settings(symbol=symbol, book=book, store=store, bars=bars)
    whole = traded(settings)
    found: dict[str, StoredCertificate] = {}
    if whole.book is None:
        with wiring.open_bot(whole.settings, say=terminal.say) as bot:
            found[bot.symbol] = keep(
                bot.journal, examined(whole.settings, bot, card_to_check(bot.journal, model))
            )
            bot.collector.save()
    else:
        names = whole.book.params.symbols
        if symbol is not None and symbol not in names:
            raise ConfigError(f"{symbol} is no symbol of {whole.book.path}; it names {', '.join(names)}")
        wanted = names if symbol is None else (symbol,)
        with wiring.open_book(settings, whole.book.params, say=terminal.say) as there:
            for name in wanted:
                bot = there.sleeves[name]
                found[name] = keep(bot.journal, examined(settings, bot, card_to_check(bot.journal, model)))
                bot.collector.save()
    _show(found, as_json)
    if not all(it.certificate.passed for it in found.values()):
        raise SystemExit(Uncertified.exit_code)


@contextmanager
def told_if_refused(settings: Settings) -> Iterator[None]:
    """A model that failed its certificate is news, which is in the store then."""
    try:
        yield
    except Uncertified:
        process.tell_observers(settings)
        raise


def certifier_of(settings: Settings, bot: Bot, asked: bool | None = None) -> Certifier | None:
    """What a training of this bot must pass before its model is named champion; None where none is demanded. asked: by a person,
    whatever the settings say."""
    if not (settings.demands_certificate if asked is None else asked):
        return None

    def certify(journal: Journal, card: ModelCard) -> Certificate:
        return examined(settings, bot, card)

    return certify


def examined(settings: Settings, bot: Bot, card: ModelCard) -> Certificate:
    """A certificate of a stored model, by bars up to the newest that is over. Nothing is written but folds."""
    from backtest.certificate.certify import certify

    now_ms = bot.exchange.time_ms()
    subject = subject_of(bot, card, floor_hour(now_ms))
    terminal.say(f"{bot.symbol}: examining {card.model_id}")
    with terminal.progress("windows") as update:
        return certify(
            subject,
            now_ms,
            bot.version,
            cache=settings.checkpoints / FOLDS,
            progress=lambda done, of: update(done, of),
        )


def subject_of(bot: Bot, card: ModelCard, known_at: int) -> Subject:
    """A stored model with everything that it is examined by, as it was known at an hour (UTC ms)."""
    from backtest.certificate.certify import first_bar_needed
    from backtest.certificate.live import ahead_path_of, live_path_of
    from backtest.certificate.subject import LIVE_HOURS, Subject
    from trader.app.bot import loaded
    from trader.app.retrain import load_model

    journal, collector = bot.journal, bot.collector
    model = loaded(journal, bot.forecaster_of, card.model_id)
    _, stored = load_model(journal, card.model_id)
    stop = known_at + HOUR_MS
    first = first_bar_needed(card, model.params, model.traits, stop)
    read_by = _models_of_hours(bot, known_at, LIVE_HOURS)
    first = min([first, *(it.reads_from(hour) for hour, it in read_by.items() if it)])
    bars = collector.between(first, stop).until(known_at)
    beside = [it for it in model.params.train_symbols or () if it != bot.symbol]
    others = tuple(collector.of(it).between(first, stop).until(known_at) for it in beside)

    return Subject(
        card=card,
        params=model.params,
        forecaster=bot.forecaster_of(card.family),
        model=stored,
        bars=bars,
        live=live_path_of(model),
        ahead=ahead_path_of(model),
        others=others,
        recorded=_recorded(bot, card, bars, read_by),
        differences=_differences(journal, card, bars),
    )


def _models_of_hours(bot: Bot, known_at: int, hours: int) -> dict[int, LoadedModel | None]:
    """The newest traded hours (UTC ms) at which a model spoke, each with the model; None where it cannot be read any more."""
    from trader.app.retrain import deployment

    begun = deployment(bot.journal)
    newest = bot.journal.newest_record(min(known_at, FAR_FUTURE_MS), begun.start_ms) if begun else None
    found: dict[int, LoadedModel | None] = {}
    if begun is None or newest is None:
        return found
    first = max(begun.start_ms, newest.close_time - (hours - 1) * HOUR_MS)
    for hour in range(first, newest.close_time + HOUR_MS, HOUR_MS):
        decision = bot.journal.decision(hour)
        if decision is None or decision.p_up is None:
            continue
        try:
            found[hour] = bot.model(decision.model_id)
        except TraderError:  # it is lost, or its family is not installed any more: its hours are not compared
            found[hour] = None
    return found


def _recorded(
    bot: Bot, card: ModelCard, bars: Bars, read_by: dict[int, LoadedModel | None]
) -> Sequence[RecordedHour]:
    from backtest.certificate.subject import RecordedHour
    from trader.core.prediction import bars_hash_of

    rows = []
    for hour, model in read_by.items():
        decision = bot.journal.decision(hour)
        if decision is None:
            continue
        now = "" if model is None else bars_hash_of(bars.span(model.reads_from(hour), hour + HOUR_MS))
        rows.append(
            RecordedHour(
                hour,
                decision.model_id == card.model_id,
                decision.p_up,
                decision.bars_hash,
                now,
                decision.quantiles,
            )
        )
    return rows


def _differences(journal: Journal, card: ModelCard, bars: Bars) -> Sequence[str] | None:
    """How exported forms that are stored differ from the model, each proved again; None where none is stored."""
    from trader.app.exports import compare, stored_forms

    if not stored_forms(journal, card):
        return None
    return [f"{it.form}: {it.message}" for it in compare(journal, card, bars)]


def _show(found: dict[str, StoredCertificate], as_json: bool) -> None:
    if as_json:
        told = {name: {"number": it.number, **it.certificate.as_json()} for name, it in found.items()}
        terminal.emit(next(iter(told.values())) if len(told) == 1 else told)
        return
    for name, it in found.items():
        certificate = it.certificate
        title = f"{name}: certificate {it.number} of {certificate.model_id}"
        terminal.show(title, "-" * len(title))
        for part in certificate.parts:
            terminal.show(terminal.labelled([(part.part, "passed" if part.passed else "FAILED")]))
            terminal.show(
                terminal.labelled([(f"  {row.name}", _words(row.passed, row.words)) for row in part.checks])
            )
        terminal.show(
            "",
            f"{'passed' if certificate.passed else 'FAILED'}, by bars up to {iso(certificate.known_until)}",
        )


def _words(passed: bool, words: str) -> str:
    return words if passed else f"FAILED: {words}"


def certificate_rows(found: StoredCertificate | None) -> Json:
    """A model's newest certificate in a few fields, for its card: number, whether it passed, the parts that failed."""
    if found is None:
        return {"certificate": None}
    made = found.certificate
    return {
        "certificate": {
            "number": found.number,
            "passed": made.passed,
            "failed": list(made.failed),
            "made_at": iso(made.made_at_ms),
            "words": made.verdict,
        }
    }
