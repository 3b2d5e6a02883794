"""An ARIMA process as a state space, and Kalman's filter over it.

In Harvey's form, as R's `arima` and statsforecast have it: r states of the ARMA part, then the last d + D m values, whose
prior is diffuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trader.core.types import Floats, Ints

_DIFFUSE = 1e6  # variance of a value that nothing is known of, in units of sigma2
# A covariance that moved less than this since the step before has settled, and stays until a close is missing.
_SETTLED = 1e-11
_VANISHED = 1e-30


@dataclass(frozen=True, slots=True)
class ARIMAOrder:
    """ARIMA(p, d, q)(P, D, Q)[season_length] of log close, with its coefficients in the signs of R and statsforecast:
    (1 - ar)(1 - seasonal_ar) of the differences = (1 + ma)(1 + seasonal_ma) of the innovations, whose variance is sigma2.

    mean: of log close, where nothing is differenced. drift: what a step adds, where it is differenced once.
    """

    ar: tuple[float, ...]
    ma: tuple[float, ...]
    seasonal_ar: tuple[float, ...]
    seasonal_ma: tuple[float, ...]
    difference: int
    seasonal_difference: int
    season_length: int
    mean: float
    drift: float
    sigma2: float

    def __str__(self) -> str:
        """As papers write it."""
        order = f"ARIMA({len(self.ar)},{self.difference},{len(self.ma)})"
        seasonal = (len(self.seasonal_ar), self.seasonal_difference, len(self.seasonal_ma))
        if any(seasonal):
            order += f"({','.join(map(str, seasonal))})[{self.season_length}]"
        return order + (" with mean" if self.mean else " with drift" if self.drift else "")

    def named(self) -> dict[str, float]:
        """Every coefficient by the library's own name."""
        parts = (("ar", self.ar), ("ma", self.ma), ("sar", self.seasonal_ar), ("sma", self.seasonal_ma))
        found = {f"{name}{i}": value for name, values in parts for i, value in enumerate(values, 1)}
        constants = {"mean": self.mean, "drift": self.drift}
        return found | {name: value for name, value in constants.items() if value} | {"sigma2": self.sigma2}


class ARIMAFilter:
    """The state space of an order. Observations are log closes less mean and drift; NaN is a close that was missing."""

    def __init__(self, order: ARIMAOrder) -> None:
        phi = -_product(
            _lags(-np.array(order.ar), 1), _lags(-np.array(order.seasonal_ar), order.season_length)
        )[1:]
        theta = _product(
            _lags(np.array(order.ma), 1), _lags(np.array(order.seasonal_ma), order.season_length)
        )[1:]
        once, season = np.array([1.0, -1.0]), _lags(np.array([-1.0]), order.season_length)
        delta = -_product(*[once] * order.difference, *[season] * order.seasonal_difference)[1:]
        r, d = max(len(phi), len(theta) + 1), len(delta)
        self.size = r + d
        self.Z = np.concatenate([[1.0], np.zeros(r - 1), delta])
        self.T = np.zeros((r + d, r + d))
        self.T[: len(phi), 0] = phi
        self.T[np.arange(r - 1), np.arange(1, r)] = 1
        if d:
            self.T[r] = self.Z
            self.T[np.arange(r + 1, r + d), np.arange(r, r + d - 1)] = 1
        self.R = np.concatenate([[1.0], theta, np.zeros(r - 1 - len(theta) + d)])
        self.V = np.outer(self.R, self.R)
        self.prior = np.zeros((r + d, r + d))
        self.prior[:r, :r] = _stationary(self.T[:r, :r], self.V[:r, :r])
        self.prior[np.arange(r, r + d), np.arange(r, r + d)] = _DIFFUSE

    def forecasts(self, y: Floats, rows: Ints, steps: int) -> tuple[Floats, Floats]:
        """Mean and variance (in units of sigma2) of 1 to `steps` steps after each of `rows` (m,) of y (n,):
        (m, steps) each. Each row is computed alone, so no other row changes its bits."""
        reach, spread = self._ahead(steps)
        asked, places = np.unique(rows, return_inverse=True)
        mean, variance, told = np.empty((len(asked), steps)), np.empty((len(asked), steps)), None
        wanted = {row: i for i, row in enumerate(asked.tolist())}
        for t, (a, P) in enumerate(self._filtered(y[: int(asked[-1]) + 1] if len(asked) else y[:0])):
            if t not in wanted:
                continue
            if told is None or told[0] is not P:
                told = (P, ((reach @ P) * reach).sum(axis=1) + spread)
            mean[wanted[t]], variance[wanted[t]] = reach @ a, told[1]
        return mean[places], variance[places]

    def _filtered(self, y: Floats) -> Iterator[tuple[Floats, Floats]]:
        """State and covariance after each of y (n,). Once the covariance has settled it stays, and a step is one product, until
        a close is missing."""
        a, P, t = np.zeros(self.size), self.prior, 0
        missing = np.isnan(y)
        while t < len(y):
            settled = None
            while t < len(y) and settled is None:
                if missing[t]:
                    yield a, P
                else:
                    a, after, gain, settled = self._updated(a, P, float(y[t]))
                    yield a, after
                    P = after
                t += 1
                if settled is None:
                    a, P = self.T @ a, self.T @ P @ self.T.T + self.V
            later = np.flatnonzero(missing[t:])
            stop = t + int(later[0]) if len(later) else len(y)
            if settled is not None:
                for pushed in np.outer(y[t:stop], gain):
                    a = settled @ a + pushed
                    yield a, P
                a, P, t = self.T @ a, self.T @ P @ self.T.T + self.V, stop

    def _updated(self, a: Floats, P: Floats, value: float) -> tuple[Floats, Floats, Floats, Floats | None]:
        """State, covariance and gain after an observation; and what later steps multiply the state by, None until the covariance
        has settled."""
        M = P @ self.Z
        gain = M / float(self.Z @ M)
        after = P - np.outer(gain, M)
        moved = float(np.abs(self.T @ after @ self.T.T + self.V - P).max())
        later = self.T - np.outer(gain, self.Z @ self.T) if moved <= _SETTLED else None
        return a + gain * (value - float(self.Z @ a)), after, gain, later

    def _ahead(self, steps: int) -> tuple[Floats, Floats]:
        """What each later step reads of the state, (steps, size), and the variance that its innovations add, (steps,)."""
        reach, weights = np.empty((steps, self.size)), np.empty(steps)
        z = self.Z
        for h in range(steps):
            weights[h] = z @ self.R
            z = z @ self.T
            reach[h] = z
        return reach, np.cumsum(weights**2)


def _lags(coefficients: Floats, season: int) -> Floats:
    """1 + c1 L^s + c2 L^2s + ... as the coefficients of 1, L, L^2, ..."""
    found = np.zeros(len(coefficients) * season + 1)
    found[0], found[season::season] = 1.0, coefficients
    return found


def _product(*polynomials: Floats) -> Floats:
    """Of polynomials of the lag, lowest first."""
    found = np.ones(1)
    for polynomial in polynomials:
        found = np.convolve(found, polynomial)
    return found


def _stationary(T: Floats, V: Floats) -> Floats:
    """The P with P = T P T' + V, by doubling: after k rounds it is the sum of the first 2^k terms."""
    found, power = V, T
    while np.abs(power).max() > _VANISHED:
        found = found + power @ found @ power.T
        power = power @ power
    return found
