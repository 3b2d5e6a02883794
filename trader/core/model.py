"""A model's card: what it was trained on, by which code, for which symbols, and from when it may serve.

A model's bytes are its library's own open format, the card is JSON. Never pickle: a bucket is not a place to run code from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from trader.core.drift import drift_limits
from trader.core.errors import ConfigError, DataError
from trader.core.families import family_hash
from trader.core.features import preset_named
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.text import plural
from trader.core.training import Training
from trader.core.types import Json, Matrix, iso
from trader.core.windows import Refit

CARD_SCHEMA = "model-card/2"
# A card that `trader store upgrade` carried over from a store of before: its id follows from the model's bytes alone.
UPGRADED_FROM = "model-card/1"
UPGRADED_FORMAT = "ubjson"
LATEST_MS = 253_402_300_799_999  # the last that a date can hold, UTC ms
# Fields that came after cards were first written.
_LATER = ("family_hash", "ranges_by_symbol", "drift_limits_by_symbol")
RANGE_QUANTILES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Times are UTC milliseconds; train_until is inclusive. `rows` counts the labelled rows it was fitted on.

    `ranges` holds, by feature, the RANGE_QUANTILES of those rows: what the model knows, to compare an hour with.
    `format` is that of the model's bytes, `symbols` are those it may serve. A family that reads the series itself has no
    features: `columns` and `ranges` are empty. `reason` says why it was trained: the first, by the calendar, on which
    breach, or because a person asked. `upgraded_from` is the schema of a card that an upgrade carried over, else "".
    `drift_limits` holds what PSI and KS of a window stay below by chance (`trader.core.drift`); empty for few rows.
    A model of rows of several symbols holds `ranges` and `drift_limits` of each: `ranges_by_symbol`, `drift_limits_by_symbol`;
    then `ranges` and `drift_limits` are empty, for rows of all symbols together describe none of them.
    `family_hash` is that of the user's own file that defines the family (`trader.core.families`); "" for a shipped family.
    """

    schema: str
    model_id: str
    model_sha256: str
    family: str
    format: str
    symbols: list[str]
    features: str
    columns: list[str]
    features_hash: str
    params: dict[str, Any]
    valid_from: int
    train_from: int
    train_until: int
    rows: int
    data_hash: str
    code_version: str
    ranges: dict[str, list[float]]
    reason: str = ""
    drift_limits: dict[str, float] = field(default_factory=dict)
    upgraded_from: str = ""
    family_hash: str = ""
    ranges_by_symbol: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    drift_limits_by_symbol: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def rows_in_words(self) -> str:
        """How much it was fitted on: hours of its symbol, or rows of several."""
        return rows_in_words(self.rows, len(self.symbols))

    def known_ranges(self, symbol: str) -> dict[str, list[float]]:
        """What the model knows of a symbol, by feature; {} for a family that reads the series."""
        return self.ranges_by_symbol.get(symbol, self.ranges)

    def known_limits(self, symbol: str) -> dict[str, float]:
        """What PSI and KS of a symbol's window stay below by chance."""
        return self.drift_limits_by_symbol.get(symbol, self.drift_limits)

    def to_bytes(self) -> bytes:
        """Readable JSON with sorted keys. What came later is written only where it says something, so that a card of before
        keeps its bytes and its id."""
        values = asdict(self)
        for name in _LATER:
            if not values[name]:
                del values[name]
        return json.dumps(values, indent=1, sort_keys=True).encode()


def rows_in_words(rows: int, symbols: int) -> str:
    """So many hours, or rows of so many symbols."""
    return plural(rows, "hour") if symbols == 1 else f"{plural(rows, 'row')} of {plural(symbols, 'symbol')}"


def card_for(
    model: bytes,
    forecaster: Forecaster,
    params: Params,
    window: Refit,
    training: Training,
    code_version: str,
    reason: str = "",
) -> ModelCard:
    """The card of a freshly fitted model. The id digests all that the card says but why it was trained: a repeated training of
    one refit gives the same id, and no two models share one."""
    preset = preset_named(params.features) if forecaster.traits.reads == "rows" else None
    columns = preset.columns if preset else ()
    each = rows_by_symbol(training) if preset else {}
    ranges = {symbol: ranges_of(X, columns) for symbol, X in each.items()}
    limits = {symbol: drift_limits_of(X, ranges[symbol]) for symbol, X in each.items()}
    pooled, symbols = len(each) > 1, list(training.panel.symbols)
    card = ModelCard(
        schema=CARD_SCHEMA,
        model_id="",
        model_sha256=hashlib.sha256(model).hexdigest(),
        family=forecaster.family,
        format=forecaster.format,
        symbols=symbols,
        features=preset.name if preset else "",
        columns=list(columns),
        features_hash=preset.code_hash if preset else "",
        params=params.as_json(),
        valid_from=window.serve_from,
        train_from=window.train_from,
        train_until=window.train_until,
        rows=training.rows,
        data_hash=training.data_hash,
        code_version=code_version,
        ranges={} if pooled else ranges.get(symbols[0], {}),
        reason=reason,
        drift_limits={} if pooled else limits.get(symbols[0], {}),
        family_hash=family_hash(forecaster.family),
        ranges_by_symbol=ranges if pooled else {},
        drift_limits_by_symbol=limits if pooled else {},
    )
    return replace(card, model_id=id_of(card))


def id_of(card: ModelCard) -> str:
    """The hour that the model serves from, and a digest: of the card, or of the model's bytes where it was upgraded."""
    stamp = iso(card.valid_from)[:13].replace("-", "")
    if card.upgraded_from == UPGRADED_FROM:
        return f"{stamp}-{card.model_sha256[:12]}"
    return f"{stamp}-{digest_of(card)[:12]}"


def digest_of(card: ModelCard) -> str:
    """The SHA-256 of all that a card says but its id and why the model was trained."""
    return hashlib.sha256(replace(card, model_id="", reason="").to_bytes()).hexdigest()


def rows_by_symbol(training: Training) -> dict[str, Matrix]:
    """The rows (n, k) of a fit by symbol, without the column that says whose they are."""
    symbols = training.panel.symbols
    if len(symbols) == 1:
        return {symbols[0]: training.X}
    whose = training.X[:, -1]
    return {symbol: training.X[whose == number, :-1] for number, symbol in enumerate(symbols)}


def ranges_of(X: Matrix, columns: Sequence[str]) -> dict[str, list[float]]:
    """The RANGE_QUANTILES of each column of X (n, k), without NaN rows, to seven digits."""
    if not columns:
        return {}
    values = np.quantile(X.astype(np.float64), RANGE_QUANTILES, axis=0)
    return {column: [float(f"{value:.7g}") for value in values[:, i]] for i, column in enumerate(columns)}


def drift_limits_of(X: Matrix, ranges: dict[str, list[float]]) -> dict[str, float]:
    """The card's `drift_limits` of its training rows X (n, k), to seven digits."""
    if not ranges:
        return {}
    limits = drift_limits(X, list(ranges.values()), RANGE_QUANTILES)
    return {} if limits is None else {"psi": float(f"{limits[0]:.7g}"), "ks": float(f"{limits[1]:.7g}")}


@cache
def _kinds() -> TypeAdapter[ModelCard]:
    """What the fields of a card must be."""
    return TypeAdapter(ModelCard)


def _parsed(text: bytes) -> ModelCard:
    """The card of these bytes, every field of its kind. Raises ValueError, TypeError or RecursionError for others."""
    card = ModelCard(**json.loads(text))
    _kinds().validate_json(text, strict=True)
    times = (card.valid_from, card.train_from, card.train_until)
    if not all(0 <= time <= LATEST_MS for time in times):
        raise ValueError(f"valid_from, train_from and train_until are no times: {times}")
    card.to_bytes()  # what nests too deep to be written again is found here
    return card


def own_card(text: bytes, model: bytes | None, model_id: str, source: str) -> ModelCard:
    """The card of a model, compared with its model's bytes (None: these are not at hand) and with the id that it is kept under,
    which is computed anew from all that the card says, by `id_of`. Raises DataError."""
    try:
        card = _parsed(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(
            f"{source}: not a model card ({_first(error)}). Train again: trader retrain"
        ) from None
    if card.schema != CARD_SCHEMA:
        raise DataError(f"{source}: schema {card.schema!r}, this program reads {CARD_SCHEMA!r}")
    if model is not None and hashlib.sha256(model).hexdigest() != card.model_sha256:
        raise DataError(
            f"{source}: the model's bytes do not match its card; it is corrupt or was replaced. "
            f"Roll back to another model or train again: trader retrain"
        )
    if not model_id == card.model_id == id_of(card):
        raise DataError(
            f"{source}: the card is not the one that {model_id} names ({card.model_id}, and its content gives "
            f"{id_of(card)}); it was changed or replaced. Roll back to another model or train again: trader retrain"
        )
    return card


def read_card(text: bytes, model: bytes, model_id: str, source: str) -> ModelCard:
    """The card of a model that is to predict: `own_card`, compared with this program's feature code and with the
    file of its family too. Raises DataError, ConfigError where a file of the user's is not given."""
    card = own_card(text, model, model_id, source)
    if card.features and preset_named(card.features).code_hash != card.features_hash:
        raise DataError(
            f"{source}: features {card.features!r} were computed by other code ({card.features_hash}) than this "
            f"program's ({preset_named(card.features).code_hash}). Train again: trader retrain"
        )
    _require_family(card, source)
    return card


def _require_family(card: ModelCard, source: str) -> None:
    """Raises ConfigError where the file of the card's family was not given, DataError where the file has changed."""
    try:
        here = family_hash(card.family)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    if here != card.family_hash:
        raise DataError(
            f"{source}: the family {card.family!r} was defined by another file ({card.family_hash or 'a shipped one'}) than "
            f"this program's ({here or 'a shipped one'}). Train again: trader retrain; or start the bot again, if the file has "
            "changed since it started"
        )


def upgraded_card(text: bytes, model: bytes, model_id: str, symbol: str, source: str) -> bytes:
    """The card that `trader store upgrade` makes of one of version 0.1.0: with the format of its model and the symbol that it
    serves. Raises DataError where the old card is not that of `model_id` and of these bytes."""
    try:
        old: Json = json.loads(text)
        made = {**old, "format": UPGRADED_FORMAT, "symbols": [symbol], "upgraded_from": UPGRADED_FROM}
        card = _parsed(json.dumps({**made, "schema": CARD_SCHEMA}).encode())
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{source}: not a model card ({_first(error)})") from None
    if old.get("schema") != UPGRADED_FROM:
        raise DataError(f"{source}: schema {old.get('schema')!r} instead of {UPGRADED_FROM!r}")
    if hashlib.sha256(model).hexdigest() != card.model_sha256:
        raise DataError(f"{source}: the model's bytes do not match its card")
    if not model_id == card.model_id == id_of(card):
        raise DataError(
            f"{source}: the card is not the one that {model_id} names ({card.model_id}, and its model gives {id_of(card)})"
        )
    return json.dumps({**made, "schema": CARD_SCHEMA}, indent=1, sort_keys=True).encode()


def _first(error: Exception) -> str:
    """What an error says, in a line of a bounded length."""
    return " ".join(str(error).split())[:200]
