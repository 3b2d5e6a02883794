"""The alarms read what the bot prints: each filter is tried on lines of real commands."""

from __future__ import annotations

import re

import pytest

from tests.infra.conftest import Recorded
from tests.infra.stack_kit import Rendered
from tests.support.fakes import MemoryStore
from trader.app.journal import Journal
from trader.app.tick import Ticked
from trader.commands.common import say_ticked
from trader.core import errors


def matches(pattern: str, line: str) -> bool:
    """CloudWatch's rule for a pattern of optional quoted terms: any of them, anywhere in the line."""
    terms = re.findall(r'\?"([^"]*)"', pattern)
    assert " ".join(f'?"{term}"' for term in terms) == pattern
    return any(term in line for term in terms)


def counted(rendered: Rendered, said: str) -> set[str]:
    """The metrics that these lines raise."""
    return {
        name
        for name, filter_ in rendered.of_type("AWS::Logs::MetricFilter").items()
        if any(matches(filter_["FilterPattern"], line) for line in said.splitlines())
    }


@pytest.mark.parametrize(
    ("run", "code", "metrics"),
    [
        ("tick", 0, {"HoursSeen"}),
        ("done", 0, {"HoursSeen"}),
        ("not begun", 2, {"Errors"}),
        ("halted", 4, {"HoursSeen", "Halts"}),
        ("dry", 0, set()),
        ("retrain", 0, set()),
        ("retrain if due", 0, set()),
        ("health", 0, set()),
    ],
)
def test_real_lines_raise_their_metrics(
    rendered: Rendered, recorded: Recorded, run: str, code: int, metrics: set[str]
) -> None:
    """What a verb printed on the stack's bucket counts as what it was, and as nothing else."""
    assert recorded.codes[run] == code, recorded.said[run]
    assert counted(rendered, recorded.said[run]) == metrics, recorded.said[run]


@pytest.mark.parametrize(
    ("error", "metrics"),
    [
        (errors.ConfigError("x"), {"Errors"}),
        (errors.DataError("x"), {"Errors"}),
        (errors.OrderInDoubt("x"), {"Errors"}),
        (errors.Halt("reconcile", "x"), {"Halts"}),
        (errors.Retry("x"), set()),  # the next tick mends it; hours that stay open raise the other alarm
    ],
)
def test_every_error_raises_its_metric(
    rendered: Rendered, capsys: pytest.CaptureFixture[str], error: errors.TraderError, metrics: set[str]
) -> None:
    """As the command line prints it."""
    from trader import terminal

    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        terminal.run(fail)
    assert ended.value.code == error.exit_code
    assert counted(rendered, capsys.readouterr().err) == metrics


@pytest.mark.parametrize(("halted", "metrics"), [(False, {"HoursSeen"}), (True, {"HoursSeen", "Halts"})])
def test_the_service_says_the_same(
    rendered: Rendered, capsys: pytest.CaptureFixture[str], halted: bool, metrics: set[str]
) -> None:
    """A warm `trader run` prints a tick's own sentence, and marks a halt with words that the filter knows."""
    sentence = "BTCUSDT 2022-01-01T00:00:00Z: no order (hold), position 0, equity 1 USDT"
    say_ticked(Journal(MemoryStore(), "BTCUSDT"), Ticked("traded", 0, [], sentence, halted))
    assert counted(rendered, capsys.readouterr().err) == metrics
