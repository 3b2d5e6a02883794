"""Another coin under one symbol, a redenomination, a broken file: a price that jumps is said, and no result counts it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backtest.commands.inputs import given
from tests.support.bars_made import bars_made, bars_of_closes
from tests.support.rig import quick_params
from trader.adapters.files import write_bars
from trader.commands.bars import Collected, _tell
from trader.config import load_settings
from trader.core.errors import DataError
from trader.core.jumps import Jump, jumps, lasting, require_no_jump
from trader.core.params import params_of
from trader.core.types import HOUR_MS, Bars, iso, parse_hour
from trader.simulation.rehearsal import require_replayable

DAYS = 40
JUMP = 24 * 33
GAP = tuple(range(JUMP - 48, JUMP))


def replaced(factor: float, *, gap: bool = True) -> Bars:
    """40 days; after two without bars, or at once, the price is another one."""
    return bars_made(24 * DAYS, start="2022-05-01", missing=GAP if gap else (), jumps={JUMP: factor})


@pytest.mark.parametrize(
    ("factor", "gap", "where"),
    [
        (180_000.0, True, "rises by a factor of .* over a gap"),
        (0.001, True, "falls by a factor of .* over a gap"),
        (1000.0, False, "rises by a factor of .* between two bars"),
        (0.1 * 0.9, False, "falls by a factor of .* between two bars"),
    ],
)
def test_a_jump_between_bars_is_found(factor: float, gap: bool, where: str) -> None:
    """Both ways, over a gap or not, once; with the hour before it and the hour after, between which a file is cut."""
    bars = replaced(factor, gap=gap)
    (found,) = jumps(bars)
    assert found.factor == pytest.approx(max(factor, 1 / factor), rel=0.3)
    assert bars.row(found.close_time) == JUMP
    with pytest.raises(
        DataError, match=rf"luna\.csv: the price {where} at {iso(found.close_time)}: another coin"
    ):
        require_no_jump(bars, "luna.csv")
    require_no_jump(bars.until(found.before), "the old coin")
    require_no_jump(bars.span(found.close_time, bars.last), "the new coin")


def test_a_bar_that_spans_orders_of_magnitude_is_found() -> None:
    """A redenomination within an hour of trading; a wick is none, for no result is marked by it."""
    bars = bars_of_closes([100.0, 101.0, 0.9, 0.91])
    (found,) = jumps(bars)
    assert (found.where, iso(found.close_time)) == ("within a bar", iso(bars.close_time[2].item()))


def test_what_markets_do_is_no_jump() -> None:
    """A collapse over hours, a gap over which the price halves, a series without a genuine bar."""
    falling = bars_of_closes([80.0 * 0.35**hour for hour in range(14)])  # 80 to 0.0001
    assert jumps(falling) == []
    assert jumps(replaced(0.5)) == []
    assert jumps(bars_made(5).rows(0, 0)) == []


def test_no_backtest_counts_it_and_either_side_can_be_run(tmp_path: Path) -> None:
    """The hours over the jump are refused with the hours to cut at; those before it, and those long after it, are run."""
    file = tmp_path / "LUNAUSDT-1h.parquet"
    write_bars(file, replaced(180_000.0))
    params = tmp_path / "P.json"
    params.write_text(json.dumps(quick_params(look_back_days=3)))
    with pytest.raises(DataError, match=r"rises by a factor of .*end at 2022-06-01T00:00:00Z or before"):
        given([str(file)], "2022-05-25", "2022-06-06", params)
    assert given([str(file)], "2022-05-25", "2022-05-30", params).source == str(file)
    assert given([str(file)], "2022-06-08", "2022-06-09", params).source == str(file)


def test_no_replay_counts_it() -> None:
    """The bot's own rehearsal refuses the same hours."""
    params = params_of(quick_params(look_back_days=3), "quick")
    start, stop = parse_hour("2022-05-25"), parse_hour("2022-06-06")
    with pytest.raises(DataError, match="over a gap at 2022-06-03T01:00:00Z"):
        require_replayable(replaced(180_000.0), start, stop, params, Path("luna.csv"))


def test_collected_bars_say_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever collects is told, before anything is learned from it."""
    _tell(load_settings(), [Collected(replaced(180_000.0), None)], as_json=False)
    assert "over a gap at 2022-06-03T01:00:00Z: no result counts it" in capsys.readouterr().out


def test_a_wrong_print_is_no_other_market() -> None:
    """A bot trains on over a print that the next bars take back, and not over one that stays."""

    def jump(hour: int, factor: float, up: bool) -> Jump:
        return Jump(hour * HOUR_MS, (hour - 1) * HOUR_MS, factor, up, "between two bars")

    print_, back = jump(5, 145, up=True), jump(6, 144, up=False)
    assert lasting([print_, back]) == []
    assert lasting([print_]) == [print_]
    assert lasting([print_, jump(6, 20, up=False)]) == [print_, jump(6, 20, up=False)]
    assert lasting([print_, jump(60, 145, up=False)]) == [print_, jump(60, 145, up=False)]
    assert lasting([print_, back, jump(90, 30, up=True)]) == [jump(90, 30, up=True)]
