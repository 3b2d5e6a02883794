"""What both commands do before a verb."""

from __future__ import annotations

from trader import terminal


def begin(*, trains: bool) -> None:
    """What settings change for every verb: how lines are logged, which feature presets and which families of models are known.

    trains: the verb may fit a model, so a user's own presets are tried for look-ahead, and a user's own family by the contract of
    all families when it is first asked for.
    """
    from trader.adapters.talib_features import register_shipped
    from trader.config import load_settings

    register_shipped()
    settings = load_settings()
    if settings.log_format == "json":
        terminal.log_as_json()
    if settings.features_module is not None:
        from trader.adapters import user_features

        user_features.load(settings.features_module, check=trains)
    if settings.model_module is not None:
        from trader import own_families

        own_families.load(settings.model_module, check=trains)
