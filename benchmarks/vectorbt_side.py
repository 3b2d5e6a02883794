"""The other side of the comparison, run by an interpreter that has vectorbt: `python vectorbt_side.py IN.npz OUT.npz`.

Reads entries, exits, price, close, fees, cash, rounds; writes the equity and the seconds of each round, without and
with the equity computed, after one round that compiles. Knows nothing of this project.
"""

from __future__ import annotations

import sys
import time

import numpy as np


def main() -> None:
    """Follow the signals and write what came of it."""
    import vectorbt

    with np.load(sys.argv[1]) as stored:
        given = dict(stored)
    simulated, valued = [], []
    for _ in range(int(given["rounds"]) + 1):
        began = time.perf_counter()
        portfolio = vectorbt.Portfolio.from_signals(
            given["close"],
            given["entries"],
            given["exits"],
            price=given["price"],
            fees=float(given["fees"]),
            init_cash=float(given["cash"]),
            freq="1h",
        )
        simulated.append(time.perf_counter() - began)
        equity = portfolio.value().to_numpy()
        valued.append(time.perf_counter() - began)
    np.savez(
        sys.argv[2], equity=equity, simulated=simulated[1:], valued=valued[1:], version=vectorbt.__version__
    )


if __name__ == "__main__":
    main()
