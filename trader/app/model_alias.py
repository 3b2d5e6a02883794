"""A model by what it is to the bot: the champion, the challenger, or its id."""

from __future__ import annotations

from trader.app.journal import Journal
from trader.app.models import card_of
from trader.app.retrain import champions, load_card
from trader.core.errors import ConfigError
from trader.core.lifecycle import serving
from trader.core.model import ModelCard
from trader.core.types import iso

CHAMPION, CHALLENGER = "champion", "challenger"


def card_named(journal: Journal, name: str, hour: int) -> ModelCard:
    """The card of a model: `champion` is the one that serves `hour` (UTC ms), `challenger` the newest that was published to serve
    a later hour; else an id or the beginning of one. Raises ConfigError where there is none, or several."""
    if name not in (CHAMPION, CHALLENGER):
        return card_of(journal, name)
    known = champions(journal)
    if not known:
        raise ConfigError(f"{journal.symbol}: no model yet; train one with: trader retrain")
    if name == CHAMPION:
        chosen = serving(known, hour)
        if chosen is None:
            first = min(known, key=lambda it: it.valid_from)
            raise ConfigError(
                f"{journal.symbol}: no model serves {iso(hour)}; the first, {first.model_id}, serves from "
                f"{iso(first.valid_from)}. Give its id"
            )
        return load_card(journal, chosen.model_id)
    later = [it for it in known if it.valid_from > hour]
    if not later:
        raise ConfigError(
            f"{journal.symbol}: there is no challenger: no published model waits to serve after {iso(hour)}. See: trader models "
            "list"
        )
    return load_card(journal, max(reversed(later), key=lambda it: it.valid_from).model_id)
