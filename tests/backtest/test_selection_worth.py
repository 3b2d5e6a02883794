"""What a winner is worth: deflation and shrinkage beside slow twins, and on worthless candidates."""

from __future__ import annotations

import numpy as np
import pytest

from backtest.evidence.selection import Scatter, expected_best_gain, pooled_deviation, sharpe_variance, shrunk
from backtest.evidence.significance import Moments
from backtest.select.winners import winners_of


def test_the_pooled_deviation_is_that_of_scores_about_their_series() -> None:
    """A slow twin: squares about each series' own mean over the degrees of freedom; a single score has none."""
    groups = [[1.0, 2.0, 4.0], [10.0, 13.0], [7.0]]
    squares = sum((x - np.mean(group)) ** 2 for group in groups for x in group)
    assert pooled_deviation(groups) == pytest.approx((squares / 3) ** 0.5)
    assert pooled_deviation([[1.0], []]) == 0.0


def test_the_best_of_worthless_candidates_has_no_gain_left() -> None:
    """On average over many series: gains that are noise around nothing, the best of five of them or of the naive forecast, less
    what is expected of it."""
    noise = np.random.default_rng(1).normal(0, 0.03, size=(600, 5))
    best = np.maximum(noise.max(axis=1), 0)
    expected = expected_best_gain([Scatter.of(noise[:, c].tolist()) for c in range(5)])
    assert best.mean() > 0.03
    assert expected == pytest.approx(best.mean(), abs=0.003)


def test_a_hopeless_candidate_changes_nothing() -> None:
    """One that is far worse than the naive forecast wins nowhere, however its gains scatter; a wild series moves no scatter."""
    plain = [Scatter(0.0, 0.03), Scatter(-0.01, 0.02)]
    assert expected_best_gain([*plain, Scatter(-1.6, 0.2)]) == pytest.approx(
        expected_best_gain(plain), rel=1e-3
    )
    assert expected_best_gain([Scatter(0.2, 0.03)]) == expected_best_gain([Scatter(0.0, 0.03)])
    assert expected_best_gain([Scatter(0.0, 0.03)]) == pytest.approx(0.03 / (2 * np.pi) ** 0.5, rel=1e-3)
    assert (expected_best_gain([]), expected_best_gain([Scatter(-1.0, 0.0)])) == (0.0, 0.0)
    assert Scatter.of([0.01, -0.01, 0.02, -0.02, 50.0]).deviation < 0.05


def test_shrinking_is_james_and_stein_for_equal_variances() -> None:
    """1 - (k - 3) v / S about the mean, and the mean alone where the scatter is no more than noise."""
    x, v = np.array([0.1, 0.5, -0.2, 0.9, 0.3]), 0.01
    found = shrunk(x.tolist(), [v] * 5)
    spread = float(np.sum((x - x.mean()) ** 2))
    assert found.values == pytest.approx(x.mean() + (1 - 2 * v / spread) * (x - x.mean()))
    assert shrunk(x.tolist(), [10.0] * 5).values == pytest.approx([x.mean()] * 5)
    assert shrunk([1.0, 2.0, 3.0], [9.0] * 3).values.tolist() == [1.0, 2.0, 3.0]


def test_shrunk_gains_lie_nearer_to_the_truth() -> None:
    """Over many drawn worlds the squared error is smaller than that of what was observed."""
    random = np.random.default_rng(2)
    raw = better = 0.0
    for _ in range(200):
        truth = random.normal(0.02, 0.02, 20)
        noise = np.where(np.arange(20) % 2, 0.01, 0.05)
        seen = truth + noise * random.normal(size=20)
        raw += float(np.sum((seen - truth) ** 2))
        better += float(np.sum((shrunk(seen.tolist(), (noise**2).tolist()).values - truth) ** 2))
    assert better < 0.7 * raw


def test_the_variance_of_a_sharpe_ratio_is_that_of_drawn_returns() -> None:
    """Annualised Sharpe ratios of many drawn records scatter as the formula says."""
    random = np.random.default_rng(3)
    drawn = [Moments.of(random.normal(0.01, 1, 2_000)) for _ in range(400)]
    scatter = np.var([it.sharpe for it in drawn]) * 8_760
    assert sharpe_variance(drawn[0]) == pytest.approx(scatter, rel=0.2)


def row(loss: float | None, key: str = "k") -> dict[str, object]:
    """A candidate's end."""
    if loss is None:
        return {"key": key, "state": "failed", "reason": "it could not be fitted", "seconds": 0.1}
    return {"key": key, "state": "complete", "reason": "", "loss": loss, "seconds": 0.1}


def test_the_best_is_the_best_and_never_only_the_last() -> None:
    """Whatever the order, beside candidates that failed; of equals the naive forecast; a series without it has no best."""
    rows = {
        ("A", "naive"): row(1.0), ("A", "x"): row(0.8), ("A", "y"): row(0.9), ("A", "z"): row(None),
        ("B", "naive"): row(1.0), ("B", "x"): row(1.0), ("B", "y"): row(None), ("B", "z"): row(1.4),
        ("C", "naive"): row(None), ("C", "x"): row(0.5), ("C", "y"): row(0.4), ("C", "z"): row(0.3),
        ("D", "naive"): row(0.0), ("D", "x"): row(0.5), ("D", "y"): row(None), ("D", "z"): row(None),
    }  # fmt: skip  # a table
    found = winners_of(rows, "pinball", lambda symbol: 9 if symbol == "B" else 0)
    assert [(it.symbol, it.candidate, it.tried, it.failed) for it in found.winners] == [
        ("A", "x", 3, 1),
        ("B", "naive", 9, 1),
    ]
    assert found.winners[0].gain == pytest.approx(0.2)
    assert [(it.deflated, it.shrunk) for it in found.winners] == [(None, None)] * 2
    assert list(found.without) == ["C", "D"]
    assert "exact" in found.without["D"]


def test_a_gain_is_deflated_then_drawn_towards_the_other_series() -> None:
    """Of six series whose best candidate gains much, little or nothing: the order stays, and one that stands out by noise alone
    loses most of it; losses of several windows say how much is noise."""
    gains = [0.9, 0.95, 1.3, 0.97, 0.93, 1.02]
    rows = {}
    for i, loss in enumerate(gains):
        rows[f"S{i}", "naive"] = row(1.0)
        rows[f"S{i}", "x"] = row(loss)
    found = winners_of(rows, "pinball")
    assert found.expected is not None
    for winner, loss in zip(found.winners, gains, strict=True):
        if winner.candidate == "naive":
            assert (loss > 1, winner.deflated, winner.shrunk) == (True, 0.0, 0.0)
        else:
            assert winner.gain == pytest.approx(1 - loss)
            assert winner.deflated == pytest.approx(1 - loss * np.exp(found.expected))
    best = found.winners[0]
    assert best.deflated is not None
    assert best.shrunk is not None
    assert best.shrunk < best.deflated < best.gain
    for key, one in rows.items():
        one["losses"] = [float(str(one["loss"])) * (1 + 0.001 * (key[1] == "x"))] * 2
    clear = winners_of(rows, "pinball").winners[0]
    assert clear.shrunk == pytest.approx(clear.deflated)
