"""What of this project's code is followed in another way, and what is not followed at all."""

from __future__ import annotations

PACKAGES = ("trader", "backtest")
PACKAGES_BEGIN = tuple(f"{it}." for it in PACKAGES)
# Definitions that list the families: of these only what a named family has is followed.
TABLES_OF_FAMILIES = frozenset(
    {
        "trader.forecasters.registry:BUILDERS",
        "trader.forecasters.libraries:NEEDS",
        "trader.core.model_params:_Shipped",
        "trader.core.model_params:SHIPPED",
        "backtest.study.space:_ALL",
        "backtest.study.space:SPACES",
    }
)
# One that lists presets of features: a stage that computes features names its preset's function itself.
TABLES_OF_PRESETS = frozenset({"trader.adapters.talib_features:SHIPPED"})
# What computes tasks changes no result, and what a person is shown is none.
NO_RESULT = ("backtest.executors.", "trader.terminal", "backtest.pipeline.run", "backtest.pipeline.stage_run")
