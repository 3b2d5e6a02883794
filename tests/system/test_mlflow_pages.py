"""MLflow's pages in a real browser: the experiment opens as one of models, and a run's page shows what was told."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.system.browser import DESK, chromium, opened
from tests.system.test_mlflow_server import ask, free_port, get, server
from tests.trackers.conftest import Told, bars_file, told, traded
from trader.commands.tracker import ui_command
from trader.config import load_settings
from trader.observers.builders import make_observer

__all__ = ["bars_file", "told", "traded"]  # fixtures
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
SLOW_MS = 60_000  # a page of several megabytes of script, on a machine that does other things


def test_a_run_is_opened_and_its_metrics_are_seen(told: Told) -> None:
    """As a person would: the experiment shows its runs and not an empty page of traces; a run's page names the newest
    equity of the records. It fails where graphene and graphql-core do not fit each other."""
    told.tell(make_observer(told.settings, "mlflow"))
    settings = load_settings(store=told.store, tracker_dir=told.tracking, trackers="mlflow")
    port = free_port()
    command, environment = ui_command(settings, port)
    url = f"http://127.0.0.1:{port}"
    with server(command, environment, told.tracking, url), chromium() as browser:
        experiment = get(url + "/api/2.0/mlflow/experiments/get-by-name?experiment_name=BTCUSDT")[1]
        number = re.search(rb'"experiment_id": "(\d+)"', experiment)
        assert number
        experiment_id = number[1].decode()
        runs = ask(url, "runs/search", {"experiment_ids": [experiment_id]})["runs"]
        (run,) = [run for run in runs if not run["info"]["run_name"].startswith("study")]
        with opened(browser, f"{url}/#/experiments/{experiment_id}", viewport=DESK) as seen:
            expect(seen.page.get_by_text(run["info"]["run_name"]).first).to_be_visible(timeout=SLOW_MS)
            assert "/traces" not in seen.page.url
        address = f"{url}/#/experiments/{experiment_id}/runs/{run['info']['run_id']}"
        with opened(browser, address, viewport=DESK) as seen:
            for name in ("equity_usdt", "hourly_return", "p_up"):
                expect(seen.page.get_by_text(name).first).to_be_visible(timeout=SLOW_MS)
            equity = f"{float(told.records[-1].line.equity):.2f}"[:7]
            assert equity in seen.page.locator("body").inner_text().replace(",", "")
            assert "ResolveInfo" not in seen.page.locator("body").inner_text()
