"""The stage before publication: look-ahead, what a user's own family promises, and the certificate of `trader check`."""

from __future__ import annotations

from dataclasses import asdict

from backtest.certificate.certify import certify
from backtest.certificate.live import live_path_of
from backtest.certificate.subject import LIVE_HOURS, Spans, Subject
from backtest.engine.lookahead import Check, examine
from backtest.executors.protocol import Arrays, TaskSettings, task_function
from backtest.pipeline.cards import card_of
from backtest.pipeline.stage_inputs import CARD, CERTIFICATE, MODEL_PARAMS, REFUSAL, Given, Made, json_bytes
from backtest.pipeline.stages_judged import CODE_VERSION
from trader.core.certificate import Certificate
from trader.core.families import own_family
from trader.core.hours import Rules
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.prediction import LoadedModel
from trader.core.types import Filters


@task_function
def check_stage(arrays: Arrays, settings: TaskSettings) -> bytes:
    """What is examined before a model is published: check.json and certificate.json. A model that fails is said to be refused."""
    from trader.adapters.talib_features import register_shipped
    from trader.forecasters.registry import forecaster_of

    register_shipped()  # in a process that is no command
    given = Given(arrays, settings)
    params = given.params(MODEL_PARAMS)
    forecaster = forecaster_of(params.model.family)
    checks = [*_lookahead(given, forecaster, params), *_own_contract(params.model.family)]
    certificate = certified(given, forecaster, params)
    told = {"symbol": given.symbol, "family": params.model.family, "checks": [asdict(it) for it in checks]}
    files = {"check.json": json_bytes(told), CERTIFICATE: certificate.to_bytes()}
    found = _refusal(checks, certificate)
    name = f"{given.symbol} by {params.model.family}"
    said = {REFUSAL: f"{name} fails its check, so nothing is published: {found}"} if found else {}
    return Made(files, said).packed()


def _refusal(checks: list[Check], certificate: Certificate) -> str:
    """The first findings in words, "" where there is none."""
    found = [f"{it.what}: {it.found[0]}" for it in checks if it.found][:3]
    if not certificate.passed:
        found.append(f"its certificate {certificate.verdict}")
    return "; ".join(found)


def _lookahead(given: Given, forecaster: Forecaster, params: Params) -> list[Check]:
    """The newest hours of the backtest with their future removed and distorted."""
    bars, start, stop = given.bars(), given.hour("from"), given.hour("to")
    rules = Rules(params, Filters.derived(float(bars.close[bars.row(start)])))
    return examine(forecaster, bars, rules, start, stop, given.source, given.others())


def certified(given: Given, forecaster: Forecaster, params: Params) -> Certificate:
    """The certificate of the trained model, by bars up to the hour from which it serves. It follows from the inputs alone, so
    it is dated by that hour and not by a clock. Raises DataError where card and model are not those that the training gave."""
    bars, model = given.bars(), given.file("model")
    card = card_of(given.file(CARD), model, given.symbol)
    loaded = LoadedModel(
        card, params, forecaster.traits, forecaster.load(model, f"the model of {given.symbol}")
    )
    subject = Subject(
        card=card,
        params=params,
        forecaster=forecaster,
        model=model,
        bars=bars,
        live=live_path_of(loaded),
        others=given.others(),
    )
    spans = Spans(live_hours=LIVE_HOURS, newest_days=given.settings["newest_days"])
    return certify(subject, bars.last, CODE_VERSION, spans)


def _own_contract(family: str) -> list[Check]:
    """What every family promises, of a user's own one."""
    own = own_family(family)
    if own is None:
        return []
    from trader.own_families import findings

    told = list(findings(own))
    broken = tuple(f"{it.check}: {it.problem}" for it in told if it.problem)
    return [Check("what every family promises", len(told), broken)]
