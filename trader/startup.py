"""What both commands do before a verb."""

from __future__ import annotations

from trader import terminal


def begin(verb: str | None) -> None:
    """What settings change for every verb: how lines are logged, which feature presets and which families of models
    are known. A user's own presets and families are checked before a verb that would train on them."""
    from trader.adapters.talib_features import register_shipped
    from trader.config import load_settings

    register_shipped()
    settings = load_settings()
    if settings.log_format == "json":
        terminal.log_as_json()
    if settings.features_module is not None:
        from trader.adapters.user_features import TRAINS, load

        load(settings.features_module, check=verb in TRAINS)
    if settings.model_module is not None:
        from trader import own_families

        own_families.load(settings.model_module, check=verb in own_families.TRAINS)
