"""The splitter: spans of time, gaps kept, hours tiled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.bars_made import bars_made
from trader.core.errors import DataError
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import DAY_MS, HOUR_MS, no_bars, parse_hour
from trader.core.windows import refit, refit_of, refits, require_history

START = parse_hour("2022-01-01")

spans = st.fixed_dictionaries(
    {
        "step_days": st.integers(1, 90),
        "look_back_days": st.integers(1, 200),
        "gap_hours": st.integers(1, 72),
    }
)


def params(**changes: object) -> Params:
    """The defaults with changes."""
    return params_of({**DEFAULT_PARAMS, **changes}, "a test")


@given(spans=spans, k=st.integers(0, 50), horizon=st.integers(1, 24))
def test_nothing_is_trained_on_that_was_not_known(spans: dict[str, int], k: int, horizon: int) -> None:
    """The label of the last training row was known `gap` hours before the model serves, and the row after it was not."""
    window = refit(
        k, START, spans["step_days"], spans["look_back_days"], gap=spans["gap_hours"], horizon=horizon
    )
    known_at = window.serve_from - spans["gap_hours"] * HOUR_MS
    assert window.train_until + horizon * HOUR_MS == known_at
    assert window.train_until < known_at < window.serve_from


@given(spans=spans, k=st.integers(0, 50))
def test_look_back_is_a_span_of_time(spans: dict[str, int], k: int) -> None:
    """A window spans look_back days before what is known, however many rows lie in it."""
    window = refit_of(params(**spans), k, START)
    known_at = window.serve_from - spans["gap_hours"] * HOUR_MS
    assert known_at - window.train_from == spans["look_back_days"] * DAY_MS


@given(spans=spans, hours=st.integers(1, 24 * 400))
def test_windows_tile_the_hours(spans: dict[str, int], hours: int) -> None:
    """Every hour is served by exactly one window, without a hole, and no window is empty."""
    stop = START + hours * HOUR_MS
    windows = refits(params(**spans), START, stop)
    assert windows[0].serve_from == START
    assert windows[-1].serve_from < stop <= windows[-1].serve_until
    for k, window in enumerate(windows):
        assert window.k == k
        assert window.serve_until - window.serve_from == spans["step_days"] * DAY_MS
        if k:
            assert window.serve_from == windows[k - 1].serve_until


def test_the_worked_window_of_the_docstring() -> None:
    """Gap 1 h, horizon 1 h, look-back 2 days: serving from day 10 trains on day 7, 23:00 to day 9, 22:00."""
    window = refit(0, parse_hour("2022-01-10"), 30, 2, gap=1, horizon=1)
    assert window.train_from == parse_hour("2022-01-07T23:00")
    assert window.train_until == parse_hour("2022-01-09T22:00")


def test_a_look_back_longer_than_the_file_is_refused_with_numbers() -> None:
    """The message carries what is needed, what is there and the way out."""
    bars = bars_made(24 * 20, start="2021-12-20")
    window = refit_of(params(), 0, START)
    with pytest.raises(
        DataError, match=r"59 d \+ gap 1 h needs 1,417 bars .* made has 287 .*shorten look_back_days"
    ):
        require_history(bars, window, params(), "made")


def test_an_empty_series_is_refused() -> None:
    """Without bars there is no history."""
    with pytest.raises(DataError, match="is empty"):
        require_history(no_bars("BTCUSDT"), refit_of(params(), 0, START), params(), "made")


def test_the_first_bar_may_be_the_first_row_of_training() -> None:
    """History that begins exactly where training does is enough; an hour less is not."""
    window = refit_of(params(look_back_days=5), 0, START)
    enough = bars_made(24 * 20, start="2021-12-26T22:00")
    assert enough.first == window.train_from
    require_history(enough, window, params(), "made")
    with pytest.raises(DataError, match="shorten look_back_days"):
        require_history(bars_made(24 * 20, start="2021-12-26T23:00"), window, params(), "made")
