"""An answer derived again: by the model and card of the store and the bars of the source, compared field by field."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from trader.core.errors import DataError
from trader.core.text import visible
from trader.core.types import parse_hour
from trader.serving.asked_bars import bars_of
from trader.serving.model import Standing, forecast_answer, load_served
from trader.serving.refusal import Refused
from trader.serving.schemas import ForecastAnswer, ForecastRequest
from trader.serving.sources import Sources

# What depends on when it was asked, not on the model and the bars.
_OF_THE_MOMENT = ("model_late", "serves_from")


@dataclass(frozen=True, slots=True)
class Given:
    """An answer, and the request's own bars where it was made from these."""

    answer: ForecastAnswer
    request: ForecastRequest | None


@dataclass(frozen=True, slots=True)
class Derived:
    """An answer beside the same made anew. differences: a sentence for each field that differs."""

    answer: ForecastAnswer
    again: ForecastAnswer
    differences: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        told = self.answer
        return {
            "symbol": told.symbol,
            "hour": told.hour,
            "model_id": told.model_id,
            "equal": not self.differences,
            "differences": list(self.differences),
        }


def given_of(text: str, source: str) -> list[Given]:
    """The answers of a file: one as it was told, several under `answers`, or {"request": ..., "answer": ...}. Raises DataError
    that names the file."""
    try:
        value = json.loads(text)
        if isinstance(value, dict) and "answers" in value:
            return [Given(_answer(it), None) for it in value["answers"] if "status" not in it]
        if isinstance(value, dict) and "answer" in value:
            request = ForecastRequest.model_validate_json(json.dumps(value.get("request")))
            return [Given(_answer(value["answer"]), request)]
        return [Given(_answer(value), None)]
    except (ValueError, TypeError, RecursionError) as error:
        what = _faults(error.errors()) if isinstance(error, ValidationError) else str(error)
        raise DataError(
            f"{source} holds no answer of /v1/forecast: {visible(what)[:300]}. Save one: curl ... > answer.json"
        ) from None


def _answer(value: Any) -> ForecastAnswer:
    return ForecastAnswer.model_validate_json(json.dumps(value), strict=True)


def _faults(errors: Iterable[Any]) -> str:
    return "; ".join(f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in errors)


def derived(given: Given, sources: Sources) -> Derived:
    """The same answer, from the store's model and the collected bars (or the request's), and what differs.

    Raises DataError where the model is lost, damaged or replaced, where the symbol is not this store's, and where an answer from
    bars of a request comes without them; Retry where the source does not answer.
    """
    told = given.answer
    source = sources.symbols.get(told.symbol)
    if source is None:
        raise DataError(
            f"the answer is about {told.symbol}, and this store is of {', '.join(sources.symbols)}"
        )
    model = load_served(source.journal, told.model_id, told.runtime)
    hour = parse_hour(told.hour)
    if told.source == "request":
        if given.request is None or given.request.bars is None:
            raise DataError(
                'the answer was made from bars of its request; give both, as {"request": {...}, "answer": {...}}'
            )
        bars = bars_of(told.symbol, given.request.bars)
    else:
        bars = source.bars_for(model.loaded.reads_from(hour), hour)
    try:
        again = forecast_answer(model, bars, hour, told.horizon_hours, Standing(), told.source)
    except Refused as refused:
        raise DataError(refused.message) from None
    one, other = told.model_dump(exclude=set(_OF_THE_MOMENT)), again.model_dump(exclude=set(_OF_THE_MOMENT))
    differing = [f"{name}: the answer says {one[name]}, derived again it is {other[name]}" for name in one]
    kept = [said for said, name in zip(differing, one, strict=True) if one[name] != other[name]]
    return Derived(told, again, tuple(kept))
