"""The models of a store: which there are, what differs between two, and the way back to an earlier one."""

from __future__ import annotations

from typing import Any

from trader.app.certificates import require_passed
from trader.app.codec_events import CHAMPION
from trader.app.journal import Journal
from trader.app.layout import keys_of
from trader.app.retrain import champions, load_card, load_model
from trader.core.errors import ConfigError, DataError, OtherSymbol
from trader.core.events import ChampionEvent
from trader.core.lifecycle import serving
from trader.core.model import ModelCard, digest_of
from trader.core.params import params_of
from trader.core.types import FAR_FUTURE_MS, Json, iso

CHAMPION_ALIAS = "champion"


def listed(journal: Journal, hour: int) -> list[Json]:
    """Every champion event in its order; `serves` marks the one that serves `hour` (UTC ms)."""
    events, found = journal.events(CHAMPION), champions(journal)
    chosen = serving(found, hour)
    rows = []
    for event, champion in zip(events, found, strict=True):
        card = _card(journal, champion.model_id)
        rows.append(
            {
                "event": event.number,
                "model_id": champion.model_id,
                "valid_from": iso(champion.valid_from),
                "family": card.family if card else "?",
                "why": event.content.cause,
                "trained_until": iso(card.train_until) if card else "?",
                "rows": card.rows if card else 0,
                "serves": champion is chosen,
            }
        )
    return rows


def card_of(journal: Journal, model_id: str) -> ModelCard:
    """A model's card, by its id or the beginning of it. Raises ConfigError where that names none or several."""
    known = {champion.model_id for champion in champions(journal)}
    named = sorted(name for name in known if name.startswith(model_id))
    if len(named) != 1:
        what = f"names {len(named)} models: {', '.join(named)}" if named else "names no model"
        raise ConfigError(f"{model_id!r} {what}. See: trader models list")
    return load_card(journal, named[0])


def card_to_check(journal: Journal, model: str) -> ModelCard:
    """The card of a model that is to be examined, whether it was ever named champion or not: by its id or the beginning of it, or
    `champion` for the one that serves newest. Raises ConfigError where that names none or several."""
    if model == CHAMPION_ALIAS:
        newest = serving(champions(journal), FAR_FUTURE_MS)
        if newest is None:
            raise ConfigError(
                f"{journal.symbol}: no model serves yet; train one with: trader retrain --params P.json"
            )
        return load_card(journal, newest.model_id)
    keys = keys_of(journal.store, f"models/{model}") if model else []
    named = sorted({key.split("/")[1] for key in keys if key.endswith("/card")})
    if len(named) != 1:
        what = f"names {len(named)} models: {', '.join(named)}" if named else "names no model of the store"
        raise ConfigError(f"{model!r} {what}. See: trader models list")
    return load_card(journal, named[0])


def family_of(journal: Journal, model_id: str) -> str:
    """The family of a model; "?" where the store has lost its card, which `trader store verify` tells."""
    card = _card(journal, model_id)
    return card.family if card else "?"


def _card(journal: Journal, model_id: str) -> ModelCard | None:
    try:
        return load_card(journal, model_id)
    except OtherSymbol:
        raise
    except DataError:
        return None


def differences(one: ModelCard, other: ModelCard) -> list[tuple[str, Any, Any]]:
    """(what, value in one, value in other) where two cards differ, parameters by their own names."""
    left, right = _flat(one), _flat(other)
    return [
        (key, left.get(key), right.get(key))
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    ]


def _flat(card: ModelCard) -> Json:
    params = params_of(card.params, f"the card of {card.model_id}").as_json()
    model = {f"model.{key}": value for key, value in params.pop("model").items()}
    times = {name: iso(getattr(card, name)) for name in ("valid_from", "train_from", "train_until")}
    rest = {"rows": card.rows, "features": card.features, "data": card.data_hash, "code": card.code_version}
    return {"model_id": card.model_id, **times, **rest, **params, **model}


def roll_back(
    journal: Journal, card: ModelCard, from_hour: int, reason: str, *, certificate: bool = False
) -> ChampionEvent:
    """Let an earlier model serve from an hour (UTC ms) on, as a new champion event; nothing is removed. With `certificate` the
    model's newest certificate must have passed, else Uncertified is raised.

    The next refit of the calendar or a breach replaces it in its turn. Raises ConfigError where it serves already.
    """
    load_model(journal, card.model_id)  # what is to serve must be whole
    if certificate:
        require_passed(journal, card)
    chosen = serving(champions(journal), from_hour)
    if chosen is not None and chosen.model_id == card.model_id:
        raise ConfigError(f"{card.model_id} serves {iso(from_hour)} already")
    return journal.append(
        ChampionEvent(
            journal.symbol,
            card.model_id,
            from_hour,
            cause="rollback",
            message=reason,
            card_sha256=digest_of(card),
        )
    ).content
