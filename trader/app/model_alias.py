"""A model by what it is to the bot: the champion, the challenger, or its id."""

from __future__ import annotations

from collections.abc import Sequence

from trader.app.journal import Journal
from trader.app.models import card_of
from trader.app.retrain import champions, load_card
from trader.core.errors import ConfigError
from trader.core.lifecycle import Champion, serving
from trader.core.model import ModelCard
from trader.core.types import iso

CHAMPION, CHALLENGER = "champion", "challenger"


def is_alias(name: str) -> bool:
    """Whether a name is one of what a model is, not of a model."""
    return name in (CHAMPION, CHALLENGER)


def aliased(known: Sequence[Champion], alias: str, hour: int) -> Champion | None:
    """Of published models, in the order of their events, the one that an alias means at `hour` (UTC ms): the champion serves it,
    the challenger is the one that serves from the latest of later hours on. Of several for one hour the newest event counts. None
    where there is none."""
    if alias == CHAMPION:
        return serving(known, hour)
    later = [it for it in known if it.valid_from > hour]
    return max(reversed(later), key=lambda it: it.valid_from) if later else None


def card_named(journal: Journal, name: str, hour: int) -> ModelCard:
    """The card of a model: `champion` is the one that serves `hour` (UTC ms), `challenger` the newest that was published to serve
    a later hour; else an id or the beginning of one. Raises ConfigError where there is none, or several."""
    if not is_alias(name):
        return card_of(journal, name)
    known = champions(journal)
    if not known:
        raise ConfigError(f"{journal.symbol}: no model yet; train one with: trader retrain")
    chosen = aliased(known, name, hour)
    if chosen is not None:
        return load_card(journal, chosen.model_id)
    if name == CHAMPION:
        first = min(known, key=lambda it: it.valid_from)
        raise ConfigError(
            f"{journal.symbol}: no model serves {iso(hour)}; the first, {first.model_id}, serves from "
            f"{iso(first.valid_from)}. Give its id"
        )
    raise ConfigError(
        f"{journal.symbol}: there is no challenger: no published model waits to serve after {iso(hour)}. See: trader models "
        "list"
    )
