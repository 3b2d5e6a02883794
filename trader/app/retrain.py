"""Train on what was known, publish the model, name it champion from its hour on. Safe to repeat and to kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trader.app.certificates import Certifier, certified
from trader.app.codec_events import CHAMPION, DEPLOYMENT
from trader.app.collect import Collector
from trader.app.history import fit_bars
from trader.app.journal import Journal
from trader.app.stored import RESTORE
from trader.core.errors import ConfigError, DataError, OtherSymbol, Uncertified
from trader.core.events import Cause, ChampionEvent, DeploymentEvent, RefusalEvent
from trader.core.lifecycle import BreachRule, Champion, due_refit, serving
from trader.core.model import (
    UPGRADED_FROM,
    ModelCard,
    card_for,
    digest_of,
    own_card,
    read_card,
    upgraded_card,
)
from trader.core.params import Params, params_of
from trader.core.ports import ForecasterOf
from trader.core.training import training_of
from trader.core.types import HOUR_MS, floor_hour
from trader.core.windows import refit_of


@dataclass(frozen=True, slots=True)
class TrainingCause:
    """Why a model is trained; its message stands in the champion event and on the model's card. `breach_number` is that of
    the breach event that the training answers, 0 for none."""

    cause: Cause
    message: str
    breach_number: int = 0


MOST_WORDS = 600
AFTER_REFUSAL = "Repair the cause (docs/certificate.md), then run trader check MODEL; or train another model: trader retrain"

FIRST = TrainingCause("first", "the first training begins the bot")
CALENDAR = TrainingCause("calendar", "the calendar's refit")
ASKED = TrainingCause("asked", "asked for by a person")


def deployment(journal: Journal) -> DeploymentEvent | None:
    """The deployment that the journal belongs to, None before the first training. It begins on S_0 of the calendar."""
    events = journal.events(DEPLOYMENT)
    return events[-1].content if events else None


def champions(journal: Journal) -> list[Champion]:
    """Published models in the order of their events."""
    events = journal.events(CHAMPION)
    return [Champion(event.content.model_id, event.content.valid_from_ms) for event in events]


def load_model(journal: Journal, model_id: str) -> tuple[ModelCard, bytes]:
    """A published model's card and bytes, checked against each other. Raises DataError."""
    text, model = journal.store.get(f"models/{model_id}/card"), journal.store.get(f"models/{model_id}/model")
    if text is None or model is None:
        raise DataError(f"models/{model_id} is incomplete in the store. Train again: trader retrain")
    card = read_card(text, model, model_id, f"models/{model_id}/card")
    _require_named(journal, card)
    _require_original(journal, card, text, model)
    return card, model


def load_card(journal: Journal, model_id: str) -> ModelCard:
    """A published model's card alone: its bytes may be lost, or its features of other code. Raises DataError."""
    text = journal.store.get(f"models/{model_id}/card")
    if text is None:
        raise DataError(f"models/{model_id}/card is missing in the store. Train again: trader retrain")
    card = own_card(text, None, model_id, f"models/{model_id}/card")
    _require_named(journal, card)
    return card


def card_or_newest_readable(journal: Journal, model_id: str) -> ModelCard:
    """A model's card; where it is lost that of the newest champion whose card is not. Raises DataError where all are lost."""
    for name in (model_id, *(champion.model_id for champion in reversed(champions(journal)))):
        try:
            return load_card(journal, name)
        except OtherSymbol:
            raise
        except DataError:
            continue
    raise DataError(
        "no model of this store has a card that can be read. Train again, with the parameters: trader retrain --params P.json"
    )


def params_or_newest_readable(journal: Journal, model_id: str) -> Params:
    """The parameters of `card_or_newest_readable`."""
    card = card_or_newest_readable(journal, model_id)
    return params_of(card.params, f"models/{card.model_id}/card")


def _require_named(journal: Journal, card: ModelCard) -> None:
    """Raises OtherSymbol for a card of another symbol, DataError for one that was replaced since it was named champion."""
    model_id = card.model_id
    if journal.symbol not in card.symbols:
        raise OtherSymbol(
            f"models/{model_id} was trained for {', '.join(card.symbols)} and serves no hour of {journal.symbol}. Give "
            f"{journal.symbol} another --store"
        )
    said = {
        event.content.card_sha256 for event in journal.events(CHAMPION) if event.content.model_id == model_id
    }
    if said - {"", digest_of(card)}:
        raise DataError(
            f"models/{model_id}/card is not the card that was named champion; it was replaced. Roll back to another model, "
            f"or train again: trader retrain"
        )


def _require_original(journal: Journal, card: ModelCard, text: bytes, model: bytes) -> None:
    """The id of an upgraded model follows from its bytes alone, so its card is compared with the one that it was made of."""
    if card.upgraded_from != UPGRADED_FROM:
        return
    folder = f"models/{card.model_id}"
    old = journal.store.get(f"{folder}/card.json")
    if old is None or len(card.symbols) != 1:
        raise DataError(f"{folder}/card.json, which {folder}/card was made of, is missing. {RESTORE}")
    if upgraded_card(old, model, card.model_id, card.symbols[0], f"{folder}/card.json") != text:
        raise DataError(
            f"{folder}/card is not what an upgrade makes of {folder}/card.json; one of them was changed. Restore both from a "
            "copy, roll back to another model, or train again: trader retrain"
        )


def newest_readable_params(journal: Journal) -> Params | None:
    """The parameters of the newest champion, None before the first."""
    published = champions(journal)
    if not published:
        return None
    return params_or_newest_readable(journal, published[-1].model_id)


def next_serve_hour(now_ms: int, gap_hours: int) -> int:
    """The hour that a model trained now may serve from: `gap_hours` after the last full hour."""
    return floor_hour(now_ms) + gap_hours * HOUR_MS


def retrain(
    journal: Journal,
    collector: Collector,
    forecaster_of: ForecasterOf,
    params: Params,
    serve_from: int,
    code_version: str,
    cause: TrainingCause = ASKED,
    own_rule: BreachRule | None = None,
    certifier: Certifier | None = None,
    now_ms: int | None = None,
) -> ModelCard:
    """Fit for the hours from `serve_from` (UTC ms) on, by what was known `gap_hours` before it, and publish. now_ms: as in
    `fit_bars`.

    The rows follow from `serve_from` alone, not from when this runs. The first training begins the deployment, whatever
    its cause, with the retrain rule of a rehearsal (`own_rule`). A family that is fitted on several symbols is published for
    the one that the journal trades. With a `certifier` the model must pass its certificate before it is named champion: one that
    fails raises Uncertified, and the old champion goes on. Raises ConfigError for parameters that no venue here can trade,
    DataError where the history is too short, Retry while a symbol's newest bar is missing.
    """
    require_tradable(params)
    journal.require_whole()
    window = refit_of(params, 0, serve_from)
    forecaster = forecaster_of(params.model.family)
    found = fit_bars(collector, params, window, forecaster.traits, now_ms)
    training = training_of(found.bars, window, params, forecaster.traits, found.others)
    model = forecaster.fit(
        training.panel,
        training.y,
        params,
        horizon=params.horizon_hours,
        until=training.until,
        seed=params.seed,
    )
    cause = cause if deployment(journal) else FIRST
    card = card_for(model, forecaster, params, window, training, code_version, cause.message)
    keep_model(journal, card, model)
    if certifier is not None:
        require_certified(journal, card, certifier, cause)
    publish(journal, card, cause, collector.served, own_rule)
    return card


def require_tradable(params: Params) -> None:
    """Raises ConfigError for parameters that no venue here can trade."""
    if params.exposure == "long_short":
        raise ConfigError(
            "exposure long_short is for backtest run: a spot account cannot sell what it does not hold. Use long_flat"
        )


def keep_model(journal: Journal, card: ModelCard, model: bytes) -> None:
    """Model and card; until an event names the model it serves nothing."""
    journal.store_id()  # a store is created, and proves itself, before anything is built on it
    if deployment(journal) is None:
        require_no_hours(journal)
    folder = f"models/{card.model_id}"
    _create(journal, f"{folder}/model", model)
    _create(journal, f"{folder}/card", card.to_bytes())


def require_certified(journal: Journal, card: ModelCard, certifier: Certifier, cause: TrainingCause) -> None:
    """Raises Uncertified, once the refusal stands in the store, for a model that fails its certificate."""
    stored = certified(journal, card, certifier)
    found = stored.certificate
    if found.passed:
        return
    refusal = RefusalEvent(
        symbol=journal.symbol,
        at_ms=found.made_at_ms,
        model_id=card.model_id,
        valid_from_ms=card.valid_from,
        certificate=stored.number,
        message=found.verdict[:MOST_WORDS],
        breach_number=cause.breach_number,
    )
    journal.append(refusal)
    old = serving(champions(journal), card.valid_from)
    goes_on = f"{old.model_id} goes on serving" if old else "the bot has no model, so it does not begin"
    raise Uncertified(f"{refused_words(refusal)}; {goes_on}. {AFTER_REFUSAL}")


def refused_words(refusal: RefusalEvent) -> str:
    """What became of a model that failed."""
    return f"{refusal.model_id} was not named champion: certificate {refusal.certificate} {refusal.message}"


def publish(
    journal: Journal,
    card: ModelCard,
    cause: TrainingCause,
    served: Callable[[], str],
    own_rule: BreachRule | None,
) -> None:
    """Champion, deployment, after model and card: killed between any two, the next training goes on where nothing is missing."""
    newest = champions(journal)
    if cause.breach_number or not newest or newest[-1] != Champion(card.model_id, card.valid_from):
        journal.append(
            ChampionEvent(
                symbol=journal.symbol,
                model_id=card.model_id,
                valid_from_ms=card.valid_from,
                cause=cause.cause,
                message=cause.message,
                breach_number=cause.breach_number,
                card_sha256=digest_of(card),
            )
        )
    if deployment(journal) is None:
        journal.append(DeploymentEvent(journal.symbol, card.valid_from, served(), own_rule))


def _create(journal: Journal, key: str, data: bytes) -> None:
    """Create an object that its own id proves. What is there and is another one is damaged, since the id digests it: it is put
    in its place. (Two cards of one id differ in the reason why they were trained, and the first stays.)"""
    if journal.store.create(key, data):
        return
    there = journal.store.get(key)
    if there != data and not (key.endswith("/card") and _is_card(there, key)):
        journal.store.put(key, data)


def _is_card(text: bytes | None, key: str) -> bool:
    try:
        own_card(text or b"", None, key.split("/")[1], key)
    except DataError:
        return False
    return True


def require_no_hours(journal: Journal) -> None:
    """Raises DataError where hours were traded although no deployment is there: a bot that began anew would forget what it
    holds."""
    if journal.store.list(f"journal/{journal.symbol}/", limit=1):
        raise DataError(
            f"state/{journal.symbol}/deployment/ is missing although hours were traded. Restore it from a copy, or: trader store "
            f"repair"
        )


def due(journal: Journal, params: Params, now_ms: int) -> int | None:
    """The refit hour that should be trained for now by the deployment's calendar, None if none is due."""
    begun = deployment(journal)
    if begun is None:
        raise ConfigError(
            "this bot has not begun yet; train its first model with: trader retrain --params P.json"
        )
    return due_refit(
        begun.start_ms, params.step_days, params.gap_hours, floor_hour(now_ms), champions(journal)
    )
