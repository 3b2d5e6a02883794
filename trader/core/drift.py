"""How far an hour's features have moved from what their model was trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence

# A bin that nobody fell into counts as this share, so that the index stays finite.
LEAST_SHARE = 1e-4
# Usual readings of the index: below the first nothing moved, above the second much did.
SOME, MUCH = 0.1, 0.25


def population_stability(
    values: Sequence[float], edges: Sequence[float], quantiles: Sequence[float]
) -> float:
    """PSI of `values` against a training sample of which the `quantiles` (rising from 0 to 1) lie at `edges`.

    Sum over bins of (seen - expected) ln(seen / expected); expected is the difference of the quantiles. Equal edges
    are one bin. Values outside the edges fall into the outer bins. 0.0 without values. Source: Siddiqi (2006).
    """
    if not values:
        return 0.0
    cuts: list[float] = []
    shares: list[float] = []
    last = 0.0
    for edge, quantile in zip(edges[1:-1], quantiles[1:-1], strict=True):
        if cuts and edge <= cuts[-1]:
            shares[-1] += quantile - last
        else:
            cuts.append(edge)
            shares.append(quantile - last)
        last = quantile
    if cuts and edges[-1] <= cuts[-1]:
        cuts.pop()
        shares[-1] += 1.0 - last
    else:
        shares.append(1.0 - last)
    counts = [0] * len(shares)
    for value in values:
        at = 0
        while at < len(cuts) and value > cuts[at]:
            at += 1
        counts[at] += 1
    total = 0.0
    for count, share in zip(counts, shares, strict=True):
        seen, expected = max(count / len(values), LEAST_SHARE), max(share, LEAST_SHARE)
        total += (seen - expected) * math.log(seen / expected)
    return total
