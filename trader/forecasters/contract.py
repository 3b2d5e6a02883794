"""What every family of models promises, as functions that try it: a user's own family is checked before it trains, and the
tests of this project run the same functions over every family.

Each check computes something twice that must be equal, or offers something that must be refused, on made bars with gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from trader.core.errors import ConfigError
from trader.core.forecast import LEVELS, Traits, probability_above
from trader.core.labels import hurdle_of
from trader.core.lookahead import poisoned
from trader.core.panel import Panel
from trader.core.ports import Contributing, FitsInMemory, Forecaster
from trader.core.types import HOUR_MS
from trader.forecasters.contract_global import GLOBAL_CHECKS
from trader.forecasters.contract_probes import (
    Broken,
    at_once,
    first_line,
    forecast_of,
    p_up_of,
    require,
    require_refused,
    require_same,
)
from trader.forecasters.contract_scene import SERVED_HOURS, SOURCE, Scene, fitted_bytes, scene_of

FOREIGN = (b"", b"{}", b"[]", b"\x80\x04\x95", b"PAR1", b"\x00" * 64, b"null\n")


# --- the promises ------------------------------------------------------------------------------------------------------------


def it_says_what_it_is(scene: Scene) -> None:
    """Its name, the format of its bytes, its traits, and the libraries that decide what a fit gives."""
    it = scene.forecaster
    require(it.family == scene.params.model.family, f"its family is {it.family!r}")
    require(isinstance(it.format, str) and it.format != "", f"its format is {it.format!r}, no name")
    require(isinstance(it.traits, Traits), "its traits are no trader.core.forecast.Traits")
    require(it.traits.context_hours >= 0 and it.traits.tolerance >= 0, "a trait is negative")
    require(
        not isinstance(it.libraries, str) and all(isinstance(name, str) for name in it.libraries),
        "libraries are no list of names",
    )


def probabilities_are_probabilities(scene: Scene) -> None:
    """P(up) is a float32 an hour, within 0 to 1, and there for most hours that have all that the family reads."""
    p_up = p_up_of(scene.predictor, *scene.served())
    require(p_up.shape == (SERVED_HOURS,), f"P(up) of {SERVED_HOURS} hours has the shape {p_up.shape}")
    require(p_up.dtype == np.float32, f"P(up) is {p_up.dtype}, not float32")
    known = p_up[~np.isnan(p_up)]
    require(len(known) > SERVED_HOURS // 2, f"only {len(known)} of {SERVED_HOURS} hours have a P(up)")
    require(bool(((known >= 0) & (known <= 1)).all()), f"P(up) is {known.min()} to {known.max()}")


def quantiles_agree_with_p_up(scene: Scene) -> None:
    """Where a family gives a distribution: quantiles rise, for every hour up to the horizon at least, and P(up) is the share
    above the label's own hurdle."""
    told = forecast_of(scene.predictor, *scene.served())
    if told.quantiles is None:
        return
    n, ahead, levels = told.quantiles.shape
    require((n, levels) == (SERVED_HOURS, len(LEVELS)), f"quantiles have the shape {told.quantiles.shape}")
    require(ahead >= scene.params.horizon_hours, f"quantiles reach {ahead} hours ahead")
    known = ~np.isnan(told.quantiles).any(axis=(1, 2))
    require(bool((np.isnan(told.p_up) == ~known).all()), "an hour has quantiles and no P(up), or the reverse")
    require(bool((np.diff(told.quantiles[known], axis=2) >= 0).all()), "quantiles cross")
    at_horizon = told.quantiles[:, scene.params.horizon_hours - 1]
    wanted = probability_above(at_horizon, float(np.log1p(hurdle_of(scene.params))))
    require(
        np.allclose(told.p_up[known], wanted[known], atol=0.02), "P(up) does not follow from the quantiles"
    )


def equal_input_gives_equal_bytes(scene: Scene) -> None:
    """Fitted again, and in several threads at once, the model has the same bytes."""

    def again() -> bytes:
        return fitted_bytes(scene.forecaster, scene.params, (scene.bars, *scene.others), scene.window)

    require(
        again() == scene.model, "a second fit of the same hours gave other bytes; seed whatever is random"
    )
    require(all(model == scene.model for model in at_once(again)), "fits in several threads gave other bytes")


def a_loaded_model_is_the_fitted_one(scene: Scene) -> None:
    """Through bytes or without them, loaded once or twice: the same predictions, to the bit."""
    panel, hours = scene.served()
    stored = p_up_of(scene.predictor, panel, hours)
    require_same(stored, p_up_of(scene.predictor, panel, hours), "loaded twice, a model predicts differently")
    if isinstance(scene.forecaster, FitsInMemory):
        train, y = scene.training(scene.window.train_until + HOUR_MS)
        horizon, until, seed = scene.params.horizon_hours, scene.window.train_until, scene.params.seed
        fitted = scene.forecaster.fitted(train, y, scene.params, horizon=horizon, until=until, seed=seed)
        require_same(
            stored, p_up_of(fitted, panel, hours), "load(fit(...)) and fitted(...) predict differently"
        )


def one_by_one_is_as_in_a_batch(scene: Scene) -> None:
    """Each hour alone, as the bot asks, and all at once: equal within the family's own tolerance, 0 being to the bit."""
    predictor, tolerance = scene.predictor, scene.forecaster.traits.tolerance
    batch = p_up_of(predictor, *scene.served())
    alone = [
        p_up_of(predictor, scene.panel(hour, hour + HOUR_MS), np.array([hour]))
        for hour in range(scene.window.serve_from, scene.stop, HOUR_MS)
    ]
    require_same(
        np.concatenate(alone), batch, "an hour alone and the same hour among others differ", tolerance
    )


def a_prediction_changes_nothing(scene: Scene) -> None:
    """Asked about other hours in between, or by several threads at once, a predictor answers as if it had never been asked."""
    predictor, hour = scene.predictor, scene.window.serve_from + 40 * HOUR_MS
    panel, asked = scene.panel(hour, hour + HOUR_MS), np.array([hour])
    before = p_up_of(predictor, panel, asked)
    for other in (hour + 20 * HOUR_MS, hour - 9 * HOUR_MS):
        p_up_of(predictor, scene.panel(other, other + HOUR_MS), np.array([other]))
    require_same(before, p_up_of(predictor, panel, asked), "asked again, a predictor answers differently")
    served = scene.served()
    whole = p_up_of(predictor, *served)
    for p_up in at_once(lambda: p_up_of(predictor, *served)):
        require_same(whole, p_up, "asked by several threads at once, a predictor answers differently")


def a_poisoned_future_changes_no_prediction(scene: Scene) -> None:
    """Whatever the bars after an hour hold, or if there are none: what is said of the hour stays."""
    first, middle = scene.window.serve_from, scene.window.serve_from + 30 * HOUR_MS
    hours = np.arange(first, middle + HOUR_MS, HOUR_MS)
    told = p_up_of(scene.predictor, scene.panel(first, middle + HOUR_MS), hours)
    spoiled = poisoned(scene.bars, scene.bars.row(middle) + 1)
    again = p_up_of(scene.predictor, scene.panel(first, scene.stop, spoiled), hours)
    require_same(told, again, "a prediction changes with later bars", scene.forecaster.traits.tolerance)


def a_fit_knows_nothing_later_than_its_window(scene: Scene) -> None:
    """With every bar after the window's end poisoned, of every symbol, the model has the same bytes."""
    known_at = scene.window.train_until + scene.params.horizon_hours * HOUR_MS
    spoiled = [poisoned(it, it.row(known_at) + 1) for it in (scene.bars, *scene.others)]
    again = fitted_bytes(scene.forecaster, scene.params, spoiled, scene.window)
    require(again == scene.model, "the model changes with bars after its window")


def a_fit_reads_no_hour_after_until(scene: Scene) -> None:
    """A panel that goes on, with labels and all, gives the model of one that ends at `until`."""
    longer = scene.fit(*scene.training(scene.stop))
    short = scene.fit(*scene.training(scene.window.train_until + HOUR_MS))
    require(longer == short, "the model changes with hours after `until`; cut them off before fitting")


def an_undefined_feature_gives_no_p_up(scene: Scene) -> None:
    """An hour with a NaN among its features has no P(up), and no other hour changes."""
    if scene.forecaster.traits.reads != "rows":
        return
    panel, hours = scene.served()
    p_up, X = p_up_of(scene.predictor, panel, hours), panel.X[0].copy()
    row = int(np.flatnonzero(~np.isnan(p_up))[0])
    X[row, -1] = np.nan
    changed = p_up_of(scene.predictor, Panel.of(panel.bars, [X]), hours)
    require(bool(np.isnan(changed[row])), f"an hour with an undefined feature has P(up) {changed[row]}")
    others = np.arange(len(p_up)) != row
    tolerance = scene.forecaster.traits.tolerance
    require_same(
        p_up[others], changed[others], "an undefined feature of one hour changes another hour", tolerance
    )


def a_symbol_that_the_fit_did_not_see_is_refused(scene: Scene) -> None:
    """By name, as a DataError."""
    panel, _ = scene.served()
    other = Panel(tuple(replace(it, symbol="OTHERUSDT") for it in panel.bars), panel.X)
    require_refused(
        lambda: scene.predictor.predict(other, panel.close_time[-1:]), "OTHERUSDT", "another symbol"
    )


def an_hour_outside_the_panel_is_refused(scene: Scene) -> None:
    """Nothing is made up about an hour whose bars were not given."""
    panel, _ = scene.served()
    outside = panel.close_time[-1:] + HOUR_MS
    require_refused(
        lambda: scene.predictor.predict(panel, outside), "not within the panel", "an hour outside the panel"
    )


def bytes_that_are_no_model_are_refused(scene: Scene) -> None:
    """A pickle, a table, nothing, another object: a DataError that names the source, not a crash."""
    for foreign in FOREIGN:
        require_refused(partial(scene.forecaster.load, foreign, SOURCE), SOURCE, f"the bytes {foreign[:8]!r}")


def a_model_that_was_cut_short_is_refused(scene: Scene) -> None:
    """At fifty lengths."""
    for cut in np.unique(np.linspace(0, len(scene.model) - 1, 50).astype(int)).tolist():
        short = partial(scene.forecaster.load, scene.model[:cut], SOURCE)
        require_refused(short, SOURCE, f"a model that was cut to {cut} bytes")


def contributions_add_up_to_what_was_said(scene: Scene) -> None:
    """Where a family explains itself: the parts and the base are the log-odds of P(up)."""
    predictor = scene.predictor
    if not isinstance(predictor, Contributing):
        return
    panel, hours = scene.served()
    shares, p_up = predictor.contributions(panel.X[0][-SERVED_HOURS:]), p_up_of(predictor, panel, hours)
    wanted = (SERVED_HOURS, panel.X[0].shape[1] + 1)
    require(shares.shape == wanted, f"contributions have the shape {shares.shape}, not {wanted}")
    require(
        np.allclose(1 / (1 + np.exp(-shares.sum(axis=1))), p_up, atol=1e-5),
        "contributions do not add up to P(up)",
    )


Check = Callable[[Scene], None]
CHECKS: Sequence[Check] = (
    it_says_what_it_is,
    probabilities_are_probabilities,
    quantiles_agree_with_p_up,
    equal_input_gives_equal_bytes,
    a_loaded_model_is_the_fitted_one,
    one_by_one_is_as_in_a_batch,
    a_prediction_changes_nothing,
    a_poisoned_future_changes_no_prediction,
    a_fit_knows_nothing_later_than_its_window,
    a_fit_reads_no_hour_after_until,
    an_undefined_feature_gives_no_p_up,
    a_symbol_that_the_fit_did_not_see_is_refused,
    an_hour_outside_the_panel_is_refused,
    bytes_that_are_no_model_are_refused,
    a_model_that_was_cut_short_is_refused,
    contributions_add_up_to_what_was_said,
    *GLOBAL_CHECKS,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A check and what it found; problem is "" where the promise is kept."""

    check: str
    problem: str = ""


def examine(forecaster: Forecaster, horizon_hours: int = 1) -> Iterator[Finding]:
    """Every check, one after the other. A family that cannot even be fitted is one finding. Raises ConfigError for a key without
    a default, for its message says which."""
    try:
        scene = scene_of(forecaster, horizon_hours)
    except ConfigError:
        raise
    except Exception as error:  # whatever a user's class may raise
        yield Finding("a model is fitted", first_line(error))
        return
    for check in CHECKS:
        try:
            check(scene)
        except Exception as error:  # a promise that is not kept, or whatever a user's class may raise
            yield Finding(name_of(check), str(error) if isinstance(error, Broken) else first_line(error))
        else:
            yield Finding(name_of(check))


def name_of(check: Check) -> str:
    """A check's name as a sentence."""
    return check.__name__.replace("_", " ")
