"""What a forecast, a candidate and a rule of retraining write into the evidence ledger. `backtest.evidence.looks` says what a run
writes, `backtest.study.counted` what a trial does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from backtest.evidence.ledger import Entry, config_hash, now_ms
from backtest.evidence.looks import looked_at
from trader.core.metrics import HOURS_PER_YEAR
from trader.core.params import Params
from trader.core.summary import net_sharpe

if TYPE_CHECKING:
    from backtest.lifecycle.market import LifecycleMarket
    from backtest.lifecycle.rules import RuleResult


def of_forecast(params: Params, start: int, stop: int, by: str) -> list[Entry]:
    """A configuration whose distributions were scored, and the look at its hours; it has no Sharpe ratio."""
    return looked_at(config_hash(params), start, stop, None, by)


def config_of_candidate(params: Params, freq: str) -> str:
    """The same parameters on days are another configuration than on hours."""
    config = config_hash(params)
    return config if freq == "1h" else hashlib.sha256(f"{freq} {config}".encode()).hexdigest()[:16]


def of_candidate(
    row: Mapping[str, Any], config: str, start: int, stop: int, verb: str = "backtest select"
) -> list[Entry]:
    """A candidate of a selection, complete or failed, by the hash of its configuration."""
    by, now, failed = f"{verb}, {row['candidate']}", now_ms(), row["state"] == "failed"
    sharpe = row["moments"][1] if "moments" in row else None
    tried = Entry("failed" if failed else "run", config, start, stop, sharpe, by, now)
    return [tried] if failed else [tried, Entry("look", config, start, stop, None, by, now)]


def of_rule(result: RuleResult, market: LifecycleMarket) -> list[Entry]:
    """A rule of retraining on these hours is one more configuration, and one more look at them."""
    params = market.rules.params
    text = json.dumps([config_hash(params), asdict(result.rule)], sort_keys=True)
    config = hashlib.sha256(text.encode()).hexdigest()[:16]
    sharpe = net_sharpe(result.run.equity, params.allocation_usdt) / HOURS_PER_YEAR**0.5
    return looked_at(config, market.start, market.stop, sharpe, f"backtest lifecycle, {result.rule.name}")
