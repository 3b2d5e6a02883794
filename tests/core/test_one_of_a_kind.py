"""No message counts "1 hours": a number beside a noun goes through `trader.core.text.plural`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOUNS = "attempt|bar|column|day|event|fill|hour|model|object|order|page|prediction|problem|return|row|trade|trial|window"
# A count of something, formatted as it stands, and its noun: {len(fills)} trades, {found.hours:,} hours.
COUNTED = re.compile(rf"\{{+ ?([^{{}}\"'()]*(?:\([^()]*\))?[^{{}}\"'()]*)\}}+ (?:{NOUNS})s\b")
# These are never one: constants, spans that a rule demands, and a list of several.
ALWAYS_MORE = {
    "backtest/evidence/overfitting.py: 2 * blocks",
    "trader/app/watch.py: wanted",
    "trader/dashboard/figures.py: hours",
    "trader/simulation/demo.py: TRADED_DAYS",
    "trader/simulation/demo.py: rule.hours",
    "trader/app/account_care.py: MAX_ATTEMPTS",
    "trader/core/fan.py: model.traits.context_hours",
    "backtest/select/tasks.py: STEPS",
    "trader/app/models.py: len(named)",
    "trader/core/bar_checks.py: LONGEST_GAP_HOURS // 24",
    "trader/core/bars.py: apart // HOUR_MS:,",
    "trader/core/windows.py: needed:,",
}


def test_a_count_is_said_with_its_noun() -> None:
    """Messages, pages and the report; what is left is never one."""
    found = set()
    for room in ("app", "commands", "core", "dashboard", "observers", "simulation"):
        for path in sorted((ROOT / "trader" / room).glob("*.*")):
            found |= counts_in(path)
    for path in sorted((ROOT / "backtest").rglob("*.*")):
        if path.suffix in {".py", ".html"}:
            found |= counts_in(path)
    assert found - ALWAYS_MORE == set()


def counts_in(path: Path) -> set[str]:
    """The counts of a file that no helper gives their noun."""
    return {f"{path.relative_to(ROOT)}: {count.strip()}" for count in COUNTED.findall(path.read_text())}
