"""Bars for every test: real ones where a data folder is at hand, made ones where not. Nothing is skipped."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.bars_made import bars_made
from tests.support.examples import share_of
from trader.adapters.files import read_bars
from trader.adapters.talib_features import register_shipped
from trader.core.types import Bars

ROOT = Path(__file__).resolve().parents[1]

# Credentials of test servers on loopback: no test may find those of the machine it runs on.
os.environ.update(
    AWS_ACCESS_KEY_ID="test-key", AWS_SECRET_ACCESS_KEY="test-secret", AWS_EC2_METADATA_DISABLED="true"
)
os.environ.pop("AWS_PROFILE", None)

register_shipped()  # as every command does before its verb

# Whoever collects the tests makes a million objects and throws none away: looking through them again and again costs each
# worker of pytest a third of its time until its first test. What lies there then is left out of later looks, too.
gc.disable()


def pytest_configure(config: pytest.Config) -> None:
    """Workers share the fork server of the process that starts them."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        from tests.support import forked

        forked.share()
        forked.share_programs()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """The tests are there: garbage is collected as usual from now on."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """What `make coverage` counted in this worker is written while pytest waits for it: of a worker that takes more than ten
    seconds to end, as one that writes on a busy machine does, xdist waits no longer, and its third of all counts is lost."""
    if (measured := sys.modules.get("coverage")) and (running := measured.Coverage.current()):
        running.save()


# A suite that is started in the background is born deaf to Ctrl-C, and its children too; tests press it.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Shared runners pause for seconds; a deadline per example would measure them and not the code.
settings.register_profile("here", deadline=None, derandomize=True, max_examples=share_of(100))
settings.load_profile("here")


def data_folder() -> Path:
    """Where real bars may lie: HOURLY_TRADER_DATA, or `shared/data` beside the repository."""
    return Path(os.environ.get("HOURLY_TRADER_DATA", ROOT.parent / "shared" / "data"))


def real_or_made(symbol: str, seed: int, price: float) -> Bars:
    """A symbol's bars of its first two years, with gaps: the real ones, or a synthetic walk with outages."""
    file = data_folder() / f"{symbol}-1h.parquet"
    if file.exists():
        return read_bars(file, symbol).rows(0, 20_000)
    missing = (*range(4_000, 4_034), 7_001, 7_002, *range(11_500, 11_509), 15_999)
    return bars_made(20_000, seed, missing=missing, symbol=symbol, price=price, start="2017-08-17")


@pytest.fixture(scope="session")
def btc() -> Bars:
    """20,000 hours of BTCUSDT from its first bar on, with gaps."""
    return real_or_made("BTCUSDT", 1, 4_300.0)


@pytest.fixture(scope="session")
def eth() -> Bars:
    """20,000 hours of ETHUSDT from its first bar on, with gaps."""
    return real_or_made("ETHUSDT", 2, 300.0)


@pytest.fixture(scope="session")
def two_symbols(btc: Bars, eth: Bars) -> tuple[Bars, Bars]:
    """Both."""
    return btc, eth


SKIPPED = "a skipped test proves nothing: make it run here, move it to tests/system, or delete it"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips itself fails, and so does the run."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"{SKIPPED} ({report.longrepr})"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file that skips itself fails, and so does the run."""
    report = yield
    if report.skipped:
        report.outcome, report.longrepr = "failed", f"{SKIPPED} ({report.longrepr})"
    return report
