"""The probability of overfitting, against a plain loop and against what it must say of noise and of skill."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from backtest.evidence.overfitting import overfitting
from trader.core.errors import ConfigError
from trader.core.types import Floats


def plainly(returns: Floats, blocks: int) -> float:
    """The paper's steps one by one: split, take the best in sample, rank it out of sample, count the lower half."""
    parts = np.split(returns, blocks)
    low = total = 0
    for split in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[b] for b in split])
        outside = np.concatenate([parts[b] for b in range(blocks) if b not in split])
        best = int(np.argmax(inside.mean(axis=0) / inside.std(axis=0, ddof=1)))
        scores = outside.mean(axis=0) / outside.std(axis=0, ddof=1)
        rank = int((scores <= scores[best]).sum())
        low += rank / (returns.shape[1] + 1) <= 0.5
        total += 1
    return low / total


@pytest.mark.parametrize("seed", range(4))
def test_it_equals_the_plain_loop(seed: int) -> None:
    """Block sums give what concatenated blocks give."""
    returns = np.random.default_rng(seed).normal(0, 0.01, (240, 7))
    assert overfitting(returns, 8).pbo == pytest.approx(plainly(returns, 8))


def test_four_blocks_worked_by_hand() -> None:
    """Two strategies that are good in opposite halves: whoever wins in sample loses outside when a half is chosen
    whole, and the four mixed splits tie or follow the small drift."""
    up, down = [0.02, 0.01], [-0.02, -0.01]
    a = np.array([*up, *up, *down, *down])
    returns = np.column_stack([a, -a + 0.0005])
    found = overfitting(returns, 4)
    assert len(found.logits) == 6
    assert found.pbo == pytest.approx(2 / 6)


def test_noise_is_a_coin_and_skill_is_none() -> None:
    """Among equals the winner is in the lower half about half of the time; one true winner among losers never is."""
    rng = np.random.default_rng(5)
    coins = [overfitting(rng.normal(0, 0.01, (960, 20))).pbo for _ in range(20)]
    assert np.mean(coins) == pytest.approx(0.5, abs=0.12)
    skilled = rng.normal(0, 0.01, (960, 20))
    skilled[:, 3] += 0.01
    found = overfitting(skilled)
    assert (found.pbo, found.loss) == (0.0, 0.0)


def test_still_trials_are_worth_zero() -> None:
    """A trial that never trades has Sharpe 0 and ranks above losers."""
    returns = np.random.default_rng(6).normal(-0.01, 0.01, (320, 3))
    returns[:, 1] = 0.0
    assert overfitting(returns).pbo == 0.0


@pytest.mark.parametrize(("rows", "trials", "blocks"), [(100, 1, 16), (31, 5, 16), (100, 5, 7)])
def test_too_little_is_refused(rows: int, trials: int, blocks: int) -> None:
    """With the numbers that are missing."""
    with pytest.raises(ConfigError, match=f"{trials} trials?, {rows} returns"):
        overfitting(np.zeros((rows, trials)), blocks)
