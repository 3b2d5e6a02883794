"""A pipeline's jobs, from its file: the built-in stages of every symbol and family, and a person's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from backtest.pipeline.job import Input, Job
from backtest.pipeline.output_names import (
    BARS,
    CARD,
    CERTIFICATE,
    FEATURES,
    FORECAST,
    MODEL_PARAMS,
    PARAMS,
    PREDICTIONS,
    features_of_other,
)
from backtest.pipeline.own_jobs import own_jobs
from backtest.pipeline.published_names import named, published_files
from backtest.pipeline.spec import COSTS, DECISIONS, Spec
from backtest.pipeline.user_code import families_file, preset_code
from trader.core.errors import ConfigError
from trader.core.forecast import Traits
from trader.core.model_params import completed
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import DAY_MS, iso

_FITTED, _JUDGED = "backtest.pipeline.stages_fitted", "backtest.pipeline.stages_judged"
CODE = {
    "collect": f"{_FITTED}:collected",
    "features": f"{_FITTED}:features_stage",
    "tune": f"{_FITTED}:tune_stage",
    "predict": f"{_FITTED}:predict_stage",
    "backtest": f"{_JUDGED}:backtest_stage",
    "train": f"{_JUDGED}:train_stage",
    "check": "backtest.pipeline.stage_check:check_stage",
    "publish": "backtest.pipeline.stage_publish:publish_stage",
}


def jobs_of(spec: Spec) -> list[Job]:
    """In an order in which each comes after what it needs. Raises ConfigError for a cycle, for an output that two stages make,
    for an input that nobody makes, and for parameters that cannot be."""
    built = [*_built_in(spec)]
    jobs = [*built, *own_jobs(spec, built)]
    by_name = {job.name: job for job in jobs}
    try:
        order = [*TopologicalSorter({job.name: job.needs for job in jobs}).static_order()]
    except CycleError as error:
        circle = " <- ".join(error.args[1])
        raise ConfigError(
            f"{spec.path}: stages wait for each other in a circle: {circle}. Take one out of inputs or after"
        ) from None
    return [by_name[name] for name in order]


def _built_in(spec: Spec) -> Iterator[Job]:
    families = [_Family(spec, name) for name in spec.families]
    for symbol in sorted({*spec.symbols, *(it for family in families for it in family.seen)}):
        yield _collect(spec, symbol)
    of_rows = [family for family in families if family.traits.reads == "rows"]
    if of_rows:
        for symbol in sorted({*spec.symbols, *(it for family in of_rows for it in family.seen)}):
            yield _features(families[0].preset, symbol)
    for symbol in spec.symbols:
        for family in families:
            yield from family.jobs(symbol)
    yield _publish(spec)


def _collect(spec: Spec, symbol: str) -> Job:
    from trader.adapters.bar_names import bar_file

    is_file = bool(spec.bars.suffix) and not spec.bars.is_dir()
    if is_file and len(spec.symbols) > 1:
        raise ConfigError(
            f"{spec.path}: [pipeline] bars {spec.said!r} is one file, and symbols names {len(spec.symbols)}; give a folder of "
            "<SYMBOL>-1h.parquet"
        )
    path = spec.bars if is_file else bar_file(spec.bars, symbol)
    params: dict[str, Any] = {"symbol": symbol, "from": iso(spec.start), "to": iso(spec.stop)}
    if symbol not in spec.symbols:
        params["learned_from"] = True
    if spec.source == "market":
        params["source"] = "market"
    inputs = () if spec.source == "market" else (Input("bars", path),)
    return Job(
        f"collect/{symbol}",
        "collect",
        inputs,
        (BARS,),
        params,
        {"file": str(path)},
        (CODE["collect"],),
    )


def _features(preset: str, symbol: str) -> Job:
    roots, own = preset_code(preset)
    return Job(
        f"features/{symbol}",
        "features",
        (_bars(symbol),),
        (FEATURES,),
        {"symbol": symbol, "preset": preset, **own},
        code=(CODE["features"], *roots),
    )


def _bars(symbol: str) -> Input:
    return Input(BARS, job=f"collect/{symbol}", output=BARS)


class _Family:
    """The jobs of one family."""

    def __init__(self, spec: Spec, name: str) -> None:
        from trader.forecasters.registry import traits_of

        self._spec, self.name = spec, name
        self.traits: Traits = traits_of(name)
        self._base = _base_params(spec, name, self.traits)
        self._base_told = self._base.as_json()
        self.preset = self._base.features
        self.seen = self._base.train_symbols or ()
        self._preset, self._preset_told = preset_code(self.preset)
        self._reads_rows, self._file = self.traits.reads == "rows", families_file(name)

    def _computes_features(self, kind: str) -> bool:
        """The check looks at the features of any family; predict reads those of their stage."""
        return kind == "check" or (kind in ("tune", "train") and self._reads_rows)

    def jobs(self, symbol: str) -> Iterator[Job]:
        """Of one symbol."""
        yield self._tune(symbol)
        yield self._predict(symbol)
        yield self._backtest(symbol)
        yield self._train(symbol)
        yield self._check(symbol)

    def _job(
        self,
        kind: str,
        symbol: str,
        inputs: Sequence[Input],
        outputs: tuple[str, ...],
        params: dict[str, Any],
        *,
        fits: bool = True,
    ) -> Job:
        others = [it for it in self.seen if it != symbol] if fits else []
        beside = [Input(f"others/{it}.parquet", job=f"collect/{it}", output=BARS) for it in others]
        more: dict[str, Any] = {"others": others} if others else {}
        told = {
            **(self._preset_told if self._computes_features(kind) else {}),
            **(self._file if fits else {}),
        }
        return Job(
            f"{kind}/{symbol}/{self.name}",
            kind,
            (_bars(symbol), *inputs, *beside),
            outputs,
            {"symbol": symbol, **params, **more, **told},
            {"source": f"collect/{symbol}/{BARS}"},
            (CODE[kind], *(self._preset if self._computes_features(kind) else ())),
            (self.name,),
        )

    def _of(self, kind: str, symbol: str, output: str) -> Input:
        return Input(output, job=f"{kind}/{symbol}/{self.name}", output=output)

    def _tune(self, symbol: str) -> Job:
        spec = self._spec
        beyond_cost = self._base.label == "direction_beyond_cost"
        params: dict[str, Any] = {"params": self._base_told, "trials": spec.trials}
        params["decisions"] = [*DECISIONS, *(() if beyond_cost else COSTS)]
        if spec.trials:
            params |= {
                "from": iso(spec.start),
                "to": iso(spec.test_from),
                "seed": spec.seed,
                "objective": spec.objective,
            }
        return self._job("tune", symbol, (), (PARAMS, MODEL_PARAMS, "trials.jsonl"), params)

    def _predict(self, symbol: str) -> Job:
        rows = self.traits.reads == "rows"
        named = {symbol: FEATURES} | {it: features_of_other(it) for it in self.seen if it != symbol}
        features = [Input(name, job=f"features/{it}", output=FEATURES) for it, name in named.items() if rows]
        inputs = [*features, self._of("tune", symbol, MODEL_PARAMS)]
        return self._job("predict", symbol, inputs, (PREDICTIONS,), self._hours(self._spec.test_from))

    def _backtest(self, symbol: str) -> Job:
        inputs = [self._of("predict", symbol, PREDICTIONS), self._of("tune", symbol, PARAMS)]
        params = {**self._hours(self._spec.test_from), "decisions": dict(self._spec.decisions)}
        outputs = ("hours.jsonl", "summary.json", PARAMS)
        return self._job("backtest", symbol, inputs, outputs, params, fits=False)

    def _train(self, symbol: str) -> Job:
        inputs = [self._of("tune", symbol, MODEL_PARAMS)]
        outputs = ("model", CARD, "train.json", FORECAST)
        return self._job("train", symbol, inputs, outputs, {"to": iso(self._spec.stop)})

    def _check(self, symbol: str) -> Job:
        spec = self._spec
        inputs = [
            self._of("tune", symbol, MODEL_PARAMS),
            self._of("train", symbol, "model"),
            self._of("train", symbol, CARD),
            self._of("train", symbol, FORECAST),
        ]
        start = max(spec.test_from, spec.stop - spec.check_days * DAY_MS)
        params = {**self._hours(start), "newest_days": spec.newest_days}
        return self._job("check", symbol, inputs, ("check.json", CERTIFICATE), params)

    def _hours(self, start: int) -> dict[str, Any]:
        return {"from": iso(start), "to": iso(self._spec.stop)}


def _base_params(spec: Spec, family: str, traits: Traits) -> Params:
    """What a search begins with."""
    shared = dict(spec.params)
    if not traits.pools and (traits.scope, traits.reads) != ("global", "series"):
        shared.pop("train_symbols", None)  # a family of one symbol sees that symbol
    model = completed({"family": family, **spec.model.get(family, {})})
    where = f"{spec.path}: [params] and [model.{family}]"
    base = params_of({**DEFAULT_PARAMS, **shared, "model": model}, where)
    params_of({**base.as_json(), **spec.decisions}, f"{spec.path}: [backtest]")
    return base


def _publish(spec: Spec) -> Job:
    pairs = [(symbol, family) for symbol in spec.symbols for family in spec.families]
    inputs = []
    for symbol, family in pairs:
        for kind, output in (
            ("backtest", "summary.json"),
            ("backtest", PARAMS),
            ("train", "model"),
            ("train", CARD),
            ("train", FORECAST),
            ("check", "check.json"),
            ("check", CERTIFICATE),
        ):
            inputs.append(
                Input(f"{named(symbol, family)}/{output}", job=f"{kind}/{symbol}/{family}", output=output)
            )
    params = {"pairs": [list(pair) for pair in pairs], "hours": spec.forecast_hours}
    return Job("publish", "publish", tuple(inputs), published_files(pairs), params, code=(CODE["publish"],))
