"""The stage before publication: look-ahead, what a user's own family promises, and the certificate of `trader check`."""

from __future__ import annotations

from dataclasses import asdict

from backtest.certificate.certify import certify
from backtest.certificate.live import ahead_path_of, live_path_of, shown_ahead
from backtest.certificate.subject import LIVE_HOURS, Spans, Subject
from backtest.engine.lookahead import Check, examine
from backtest.executors.protocol import Arrays, TaskSettings, task_function
from backtest.pipeline.cards import card_of
from backtest.pipeline.output_names import CARD, CERTIFICATE, FORECAST, MODEL_PARAMS
from backtest.pipeline.stage_inputs import REFUSAL, Given, Made, json_bytes
from backtest.pipeline.stages_judged import CODE_VERSION
from trader.core.certificate import Certificate
from trader.core.families import own_family
from trader.core.fan import p_up_written, prices_written
from trader.core.hours import Rules
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.prediction import LoadedModel, predict
from trader.core.text import plural
from trader.core.types import HOUR_MS, Filters, iso


@task_function
def check_stage(arrays: Arrays, settings: TaskSettings) -> bytes:
    """What is examined before a model is published: check.json and certificate.json. A model that fails is said to be refused."""
    from trader.adapters.talib_features import register_shipped
    from trader.forecasters.registry import forecaster_of

    register_shipped()  # in a process that is no command
    given = Given(arrays, settings)
    params = given.params(MODEL_PARAMS)
    forecaster = forecaster_of(params.model.family)
    loaded = _loaded(given, forecaster, params)
    checks = [*_lookahead(given, forecaster, params), *_own_contract(params.model.family)]
    checks.append(_published_forecast(given, loaded))
    certificate = certified(given, forecaster, loaded)
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


def _loaded(given: Given, forecaster: Forecaster, params: Params) -> LoadedModel:
    """The trained model. Raises DataError where card and model are not those that the training gave."""
    model = given.file("model")
    card = card_of(given.file(CARD), model, given.symbol)
    return LoadedModel(
        card, params, forecaster.traits, forecaster.load(model, f"the model of {given.symbol}")
    )


def _published_forecast(given: Given, model: LoadedModel) -> Check:
    """What will be published is what the bot would say and show at the same hour: P(up), and every hour ahead."""
    bars, hour, told = given.bars(), given.hour("to"), given.json(FORECAST)
    now = p_up_written(predict(bars, hour, model).p_up)
    shown = prices_written(shown_ahead(bars, hour, model))
    wanted = [(iso(hour + h * HOUR_MS), row) for h, row in enumerate(shown, start=1)]
    there = [(it["time"], it["prices"]) for it in told["forecast"]]
    found = [f"its P(up) is {told['p_up']}, the bot would say {now}"] if told["p_up"] != now else []
    if len(there) != len(wanted):
        found.append(f"it reaches {plural(len(there), 'hour')} ahead, the bot would show {len(wanted)}")
    found += [
        f"{plural(h, 'hour')} ahead it gives {_row(*said)}, the bot would show {_row(*right)}"
        for h, (said, right) in enumerate(zip(there, wanted, strict=False), start=1)
        if said != right
    ]
    return Check("the published forecast", 1 + len(wanted), tuple(found))


def _row(time: str, prices: list[float]) -> str:
    return f"{', '.join(f'{it:.10g}' for it in prices)} at {time}"


def certified(given: Given, forecaster: Forecaster, loaded: LoadedModel) -> Certificate:
    """The certificate of the trained model, by bars up to the hour from which it serves. It follows from the inputs alone, so
    it is dated by that hour and not by a clock."""
    bars = given.bars()
    subject = Subject(
        card=loaded.card,
        params=loaded.params,
        forecaster=forecaster,
        model=given.file("model"),
        bars=bars,
        live=live_path_of(loaded),
        ahead=ahead_path_of(loaded),
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
