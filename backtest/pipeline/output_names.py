"""What the outputs of the built-in stages are called."""

from __future__ import annotations

BARS, FEATURES, MODEL_PARAMS, PARAMS, PREDICTIONS, CARD, CERTIFICATE, FORECAST = (
    "bars.parquet",
    "features.parquet",
    "model.json",
    "P.json",
    "predictions.parquet",
    "card.json",
    "certificate.json",
    "forecast.json",
)


def features_of_other(symbol: str) -> str:
    """The name of the features of a symbol that a fit on several symbols sees beside the traded one."""
    return f"others/{symbol}-features.parquet"
