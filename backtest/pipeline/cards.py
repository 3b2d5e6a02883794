"""The card of a model that a pipeline trained, for the stages after the training."""

from __future__ import annotations

import json

from backtest.pipeline.output_names import CARD
from trader.core.errors import DataError
from trader.core.model import ModelCard, own_card


def card_of(text: bytes, model: bytes, symbol: str) -> ModelCard:
    """The card that a training wrote beside its model. Raises DataError where it is none, or not of these bytes."""
    source = f"{CARD} of {symbol}"
    try:
        name = str(json.loads(text)["model_id"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{source} is no card of a model ({error!r}); run the pipeline again") from None
    return own_card(text, model, name, source)
