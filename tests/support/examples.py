"""How many examples a drawn test looks at: in `make test` a quarter of those that `make test-long` draws."""

from __future__ import annotations

import os

# Set by `make test-long`, which runs every drawn test again.
ALL_EXAMPLES = "HOURLY_TRADER_ALL_EXAMPLES"
LEAST = 10


def share_of(whole: int) -> int:
    """`whole` where ALL_EXAMPLES is set, else a quarter of it, and at least 10."""
    return whole if os.environ.get(ALL_EXAMPLES) else max(LEAST, whole // 4)
