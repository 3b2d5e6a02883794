"""What a global family promises: the checks keep silent about one that is right, and name each that is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.global_family import POOLED, known
from trader.forecasters.contract import CHECKS, examine, name_of
from trader.forecasters.contract_global import GLOBAL_CHECKS
from trader.forecasters.contract_scene import Scene, scene_of
from trader.forecasters.registry import forecaster_of

# What is wrong -> (what is replaced, by what, the check that finds it, a word of what it says).
BROKEN = {
    "keeps the panel of its fit": (
        "        found = self.quantiles",
        "        found = SEEN[-1].bars[0].close[-1] * 1e-8 + self.quantiles",
        "a prediction reads the model and its own symbol alone",
        "changes with the bars of another symbol",
    ),
    "fits on its first symbol": (
        "for bars in panel.bars:",
        "for bars in panel.bars[1:2]:",
        "a fit learns from the other symbols",
        "does not change with another symbol's bars",
    ),
    "remembers its first symbols": (
        '"symbols": list(panel.symbols)',
        '"symbols": list(panel.symbols)[:2]',
        "every symbol of the fit is predicted",
        "says nothing about ZZZUSDT",
    ),
}


@pytest.fixture
def pooled(tmp_path: Path) -> Iterator[None]:
    """The family is known."""
    with known(tmp_path):
        yield


@pytest.mark.usefixtures("pooled")
@pytest.mark.parametrize("horizon_hours", [1, 4])
def test_it_keeps_what_every_family_promises(horizon_hours: int) -> None:
    """All checks, those of a global family among them."""
    found = list(examine(forecaster_of("pooled"), horizon_hours))
    assert [it for it in found if it.problem] == []
    assert [it.check for it in found] == [name_of(it) for it in CHECKS]
    assert set(GLOBAL_CHECKS) < set(CHECKS)


@pytest.mark.usefixtures("pooled")
def test_it_is_tried_on_three_symbols() -> None:
    """Of the same hours; one of them is listed within the window."""
    scene = scene_of(forecaster_of("pooled"))
    assert scene.params.train_symbols == ("AAAUSDT", "MADEUSDT", "ZZZUSDT")
    assert scene.others[0].first == scene.bars.first
    assert scene.window.train_from < scene.others[1].first < scene.window.train_until


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_promise_is_found_and_named(how: str, tmp_path: Path) -> None:
    """Each kind by its own check."""
    old, new, check, says = BROKEN[how]
    keeping = (
        "        quantiles = [self._quantiles",
        "        SEEN.append(panel)\n        quantiles = [self._quantiles",
    )
    text = POOLED.replace(*keeping).replace("WINDOW = 96\n", "WINDOW = 96\nSEEN = []\n")
    assert old in text
    with known(tmp_path, text.replace(old, new)):
        found = {it.check: it.problem for it in examine(forecaster_of("pooled"))}
    assert says in found[check]


def test_a_family_of_one_symbol_is_tried_on_one() -> None:
    """Its scene holds no other, and the checks of a global family look at nothing."""
    scene: Scene = scene_of(forecaster_of("naive"))
    assert scene.others == ()
    assert scene.params.train_symbols is None
    for check in GLOBAL_CHECKS:
        check(scene)
