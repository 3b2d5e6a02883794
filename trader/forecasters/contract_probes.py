"""How the contract of families finds that a promise is broken: ask, compare to the bit, and offer what must be refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from trader.core.errors import DataError
from trader.core.forecast import Forecast
from trader.core.panel import Panel
from trader.core.ports import Predictor
from trader.core.types import Ints, Matrix

THREADS = 4
Result = TypeVar("Result")


class Broken(Exception):
    """A promise that is not kept; the message says how it shows."""


def first_line(error: Exception) -> str:
    """An error in a line of a bounded length."""
    told = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {told}"[:300]


def forecast_of(predictor: Predictor, panel: Panel, hours: Ints) -> Forecast:
    """What a predictor says, which must be a Forecast."""
    told = predictor.predict(panel, hours)
    require(
        isinstance(told, Forecast), f"predict gave a {type(told).__name__}, no trader.core.forecast.Forecast"
    )
    return told


def p_up_of(predictor: Predictor, panel: Panel, hours: Ints) -> Matrix:
    """P(up) of the hours."""
    return forecast_of(predictor, panel, hours).p_up


def at_once(work: Callable[[], Result]) -> list[Result]:
    """The results of the same work in THREADS threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        return [it.result() for it in [pool.submit(work) for _ in range(THREADS)]]


def require(kept: bool, problem: str) -> None:
    """Raises Broken, with the problem, unless a promise is kept."""
    if not kept:
        raise Broken(problem)


def require_same(one: Matrix, other: Matrix, problem: str, tolerance: float = 0.0) -> None:
    """Equal to the bit, or within a tolerance, NaN equal to NaN."""
    if tolerance == 0:
        require(one.tobytes() == other.tobytes(), problem)
    else:
        require(
            np.allclose(one, other, rtol=0, atol=tolerance, equal_nan=True),
            f"{problem} by more than {tolerance}",
        )


def require_refused(work: Callable[[], object], named: str, what: str) -> None:
    """A DataError that names something."""
    try:
        work()
    except DataError as error:
        require(named in str(error), f"{what}: the DataError does not say {named!r}: {error}")
    except Exception as error:  # whatever a user's class may raise
        raise Broken(f"{what} ended in {first_line(error)}; raise DataError instead") from None
    else:
        raise Broken(f"{what} was taken; raise DataError instead")
