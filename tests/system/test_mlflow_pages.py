"""MLflow's pages in a real browser: the experiment opens as one of models, and a run's page shows what was told."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.system.browser import DESK, chromium
from tests.system.mlflow_served import MlflowUi
from trader.adapters.tracker_mlflow import MlflowBackend

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
SLOW_MS = 60_000  # a page of several megabytes of script, on a machine that does other things


def test_a_run_is_opened_and_its_metrics_are_seen(mlflow_ui: MlflowUi) -> None:
    """As a person would: the address of `trader tracker ui` shows the runs and not an empty page of traces; a click on the
    deployment shows the newest equity of the records. It fails where graphene and graphql-core do not fit each other."""
    told = mlflow_ui.told
    runs_page = MlflowBackend(told.tracking).page_of("BTCUSDT")
    with chromium() as browser:
        page = browser.new_page(viewport=DESK)
        page.goto(mlflow_ui.url + runs_page)
        run = page.get_by_text("BTCUSDT since 2021-03-06T00").first
        expect(run).to_be_visible(timeout=SLOW_MS)
        assert "genai" not in page.url
        run.click()
        for name in ("equity_usdt", "hourly_return", "p_up"):
            expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=SLOW_MS)
        said = page.locator("body").inner_text()
        assert f"{float(told.records[-1].line.equity):.4f}"[:-1] in said
        assert "ResolveInfo" not in said
