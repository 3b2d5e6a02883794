"""The page: what it says is what the records say, nothing in it runs, and a public one tells no amounts."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.rig import command
from trader.adapters.store_local import LocalStore
from trader.app.cursors import stopped
from trader.app.halts import announce, resume
from trader.app.journal import Journal
from trader.config import load_settings
from trader.core.drift import population_stability
from trader.core.events import BreachEvent, TroubleEvent
from trader.core.types import DAY_MS, HOUR_MS, iso, parse_hour
from trader.dashboard.figures import figures
from trader.dashboard.page import render
from trader.dashboard.series import KEPT_HOURS, fold, fresh
from trader.observers.pages import page_of, series_key, series_of, view_of


def journal_of(store: Path) -> Journal:
    """The journal of a store."""
    return Journal(LocalStore(store), "BTCUSDT")


@pytest.fixture
def journal(week: Path, tmp_path: Path) -> Journal:
    """A copy of the week's journal that a test may write to."""
    shutil.copytree(week / "store", tmp_path / "store")
    return journal_of(tmp_path / "store")


@pytest.fixture(scope="module")
def view(week: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """View and series of the week."""
    store = tmp_path_factory.mktemp("view") / "store"
    shutil.copytree(week / "store", store)
    series = series_of(journal_of(store))
    return view_of(journal_of(store), load_settings(store=str(store)), series), series


def test_folding_hour_by_hour_equals_folding_all(journal: Journal) -> None:
    """The cached series, completed tick by tick, is the one made at once; a record taken twice counts once."""
    whole, parts = fresh(), fresh()
    for record in journal.records():
        fold(whole, record)
    for record in journal.records():
        parts = json.loads(json.dumps(parts))
        fold(parts, record)
        fold(parts, record)
    assert parts == json.loads(json.dumps(whole))
    assert series_of(journal) == parts
    assert series_of(journal) == parts


def test_a_damaged_cache_is_made_anew(journal: Journal) -> None:
    """The journal is the truth; the cache is a cache."""
    whole = series_of(journal)
    for damage in (b"", b"{", b"[]", b'{"schema": "series/0"}'):
        journal.store.put(series_key("BTCUSDT"), damage)
        assert series_of(journal) == whole


def test_the_figures_tell_the_lines(week: Path, view: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Equity, P(up) and held side of every hour, and the fills at the modelled price."""
    lines = [json.loads(line) for line in (week / "hours.jsonl").read_text().splitlines()]
    drawn = {figure["id"]: figure for figure in figures(view[1], view[0], public=False)}
    traces = {trace["name"]: trace for figure in drawn.values() for trace in figure["data"]}
    assert traces["equity, net"]["y"] == pytest.approx([float(line["equity"]) for line in lines], abs=0.006)
    assert traces["P(up)"]["y"] == [line["p_up"] for line in lines]
    assert traces["paid over modelled"]["y"] == [0.0] * sum(line["order_side"] is not None for line in lines)
    scored = sum(n for n, _, _ in view[1]["bins"].values())
    assert f"{scored:,} predictions are scored" in drawn["calibration"]["words"]
    for side, name in (("BUY", "bought"), ("SELL", "sold")):
        rows = [line for line in lines if line["order_side"] == side]
        assert rows
        assert traces[name]["x"] == [parse_hour(line["close_time"]) for line in rows]
        assert traces[name]["y"] == pytest.approx([float(line["equity"]) for line in rows], abs=0.006)
        assert traces[name]["text"] == [f"at {line['fill_price']}" for line in rows]
    public = {figure["id"]: figure for figure in figures(view[1], view[0], public=True)}
    assert public["equity"]["data"][2]["y"][0] == pytest.approx(100, abs=1)


def test_the_page_tells_what_happened(journal: Journal) -> None:
    """Models, breaches, halts and resumptions, newest first, as lines in the equity figure with the kind at its head."""
    first, *_ = (record.close_time for record in journal.records())
    at = [first + hours * HOUR_MS for hours in (30, 40, 50)]
    journal.append(BreachEvent("BTCUSDT", at[0], "hit rate too low"))
    announce(journal, at[1], "person", freeze=False, by="person", message="<b>maintenance")
    resume(journal, at[2], "<b>maintenance")
    series = series_of(journal)
    view = view_of(journal, load_settings(store="store"), series)
    kinds = [event["kind"] for event in view["story"]]
    assert sorted(kinds) == ["breach", "champion", "champion", "champion", "halt", "resume"]
    assert [event["at"] for event in view["story"]] == sorted((e["at"] for e in view["story"]), reverse=True)
    layout = next(f for f in figures(series, view, public=False) if f["id"] == "equity")["layout"]
    assert [note["text"] for note in layout["annotations"]] == ["resume", "halt", "breach"]
    assert {iso(time)[:16] for time in at} <= {shape["x0"] for shape in layout["shapes"]}
    text = render(view, series)
    assert "&lt;b&gt;maintenance" in text
    assert text.index("resume</strong>") < text.index("halt</strong>") < text.index("breach</strong>")


def test_the_page_marks_trouble_too(journal: Journal) -> None:
    """Ticks that fail are news on the figure; no kind of event keeps the page from being written."""
    first, *_ = (record.close_time for record in journal.records())
    journal.append(TroubleEvent("BTCUSDT", first + 30 * HOUR_MS, False, 3, "no answer"))
    assert "no answer" in page_of(journal, load_settings(store="store"))


def test_the_page_tells_cooldown_drift_and_who_was_not_told(journal: Journal) -> None:
    """What may retrain and what may not yet; an observer in trouble by name, one that is merely told later not."""
    *_, last = (record.close_time for record in journal.records())
    journal.append(BreachEvent("BTCUSDT", last, "hit rate too low"))
    stopped(journal, "heartbeat", "stopped after 60 s")
    told = {"drift": "psi", "heartbeat_url": "http://127.0.0.1:9/", "page_dir": "page", "trackers": "none"}
    lines = view_of(journal, load_settings(store="store", **told), series_of(journal))["next"]
    cooldown, drift, trouble = lines[-3:]
    assert cooldown.startswith(f"cooldown until {iso(last + 168 * HOUR_MS)}")
    assert drift.startswith("drift: ")
    assert trouble.startswith("heartbeat: stopped after 60 s")
    assert "heartbeat: stopped after 60 s" in page_of(journal, load_settings(store="store", **told))


def test_days_take_over_what_is_older_than_the_kept_hours(journal: Journal) -> None:
    """Two hundred days of hours become days and ninety days of hours, and lose no order, fee or call."""
    record = next(journal.records())
    series, first = fresh(), 1_609_459_200_000
    for i in range(200 * 24):
        ledger = replace(record.ledger, orders=i)
        totals = replace(
            record.totals, state=replace(record.totals.state, ledger=ledger), scored=i, hits=i // 2
        )
        fold(series, replace(record, close_time=first + i * HOUR_MS, totals=totals))
    assert KEPT_HOURS <= len(series["hours"]) <= KEPT_HOURS + 24
    assert len(series["days"]) * 24 + len(series["hours"]) == 200 * 24
    assert all(row[0] % DAY_MS == 23 * HOUR_MS for row in series["days"])
    times = [row[0] for row in series["days"]] + [row[0] for row in series["hours"]]
    assert times == sorted(times)
    assert series["days"][10][8] == 11 * 24 - 1


def test_planted_markup_stays_text(view: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """In a symbol, a model id, a halt's words, a feature's name: nothing that a page would run."""
    told, series = deepcopy(view[0]), deepcopy(view[1])
    planted = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    told |= {
        "symbol": planted,
        "why": planted,
        "do": planted,
        "card": [(planted, planted)],
        "next": [planted],
        "story": [{"when": planted, "kind": planted, "words": planted}],
        "orders": [{"when": planted, "kind": planted, "words": planted}],
    }
    told["ranges"] = {planted: next(iter(told["ranges"].values()))}
    for record in series["audit"]:
        record["model_id"] = planted
        record["features"] = {planted: 1.0}
        record["line"]["reason"] = planted
    series["features"] = [{planted: 1.0}]
    clean = render(*view)
    text = render(told, series)
    assert text.count("<script") == clean.count("<script")
    assert "<img" not in text
    assert "alert(1)" in text


def test_a_public_page_tells_no_amounts(week: Path, journal: Journal) -> None:
    """No equity, no quantity, no fee, no position of any hour; prices and shares stay."""
    lines = [json.loads(line) for line in (week / "hours.jsonl").read_text().splitlines()][-48:]
    settings = load_settings(store=str(week / "store"))
    public, private = page_of(journal, settings, public=True), page_of(journal, settings)
    amounts = {
        line[key] for line in lines for key in ("order_qty", "fee", "equity", "position") if line[key]
    } - {"0"}
    long = {amount for amount in amounts if len(amount) > 6}
    assert long
    assert [amount for amount in long if amount in public] == []
    assert [amount for amount in {line["equity"] for line in lines} if amount not in private] == []
    assert lines[-1]["close_time"][:10] in public


def test_the_page_is_written_beside_its_library_and_asks_for_nothing_else(week: Path, tmp_path: Path) -> None:
    """From a file, without a server or a network; twice is the same."""
    for _ in range(2):
        done = command(
            "trader", "dashboard", "--store", "store", "--out", str(tmp_path / "page"), "--json", cwd=week
        )
    page = Path(json.loads(done.stdout)["page"])
    text = page.read_text()
    assert sorted(path.name for path in page.parent.iterdir()) == ["index.html", "plotly.min.js"]
    assert "http://" not in text
    assert "https://" not in text
    assert text.count('src="') == 1
    assert 'src="plotly.min.js"' in text
    assert len(text) < 2_000_000


def test_a_bot_that_has_not_begun_has_a_page_too(tmp_path: Path) -> None:
    """It says what to do."""
    done = command("trader", "dashboard", "--store", "nothing", "--out", "page", cwd=tmp_path)
    assert "the page: file://" in done.stdout
    assert "trader retrain" in (tmp_path / "page" / "index.html").read_text()


@pytest.mark.parametrize("link", ["12h", "forever", "30d", "h"])
def test_a_link_needs_a_bucket_and_a_span(week: Path, link: str) -> None:
    """A folder has no link; said with the way out."""
    done = command("trader", "dashboard", "--store", "store", "--link", link, cwd=week, check=False)
    assert done.returncode == 2
    assert "--link" in done.stderr


def test_stability_is_nothing_for_the_same_and_much_for_another_sample() -> None:
    """Against its definition on bins by hand, and by what it must say."""
    rng = np.random.default_rng(1)
    quantiles = [0.0, 0.25, 0.5, 0.75, 1.0]
    edges = np.quantile(rng.normal(size=50_000), quantiles).tolist()
    assert population_stability(rng.normal(size=20_000).tolist(), edges, quantiles) < 0.01
    assert population_stability((rng.normal(size=2_000) + 1).tolist(), edges, quantiles) > 0.5
    seen = [0.1, 0.2, 0.3, 0.4]
    values = [edges[i] + (edges[i + 1] - edges[i]) / 2 for i, n in enumerate([1, 2, 3, 4]) for _ in range(n)]
    by_hand = sum((s - 0.25) * np.log(s / 0.25) for s in seen)
    assert population_stability(values, edges, quantiles) == pytest.approx(by_hand)
    assert population_stability([], edges, quantiles) == 0.0
    assert population_stability([5.0] * 10, [5.0] * 5, quantiles) == pytest.approx(0.0, abs=1e-3)


def test_a_secret_is_on_no_page_and_in_no_answer(week: Path, tmp_path: Path) -> None:
    """Keys, tokens and addresses that hold one: in neither page, nor in what the verbs that look print."""
    canary = "canary7f3a9c"
    secrets = {
        name: f"{canary}{i}"
        for i, name in enumerate(
            (
                "TRADER_API_KEY",
                "TRADER_API_SECRET",
                "TRADER_NEPTUNE_TOKEN",
                "TRADER_HEARTBEAT_URL",
                "TRADER_NOTIFY",
            )
        )
    }
    said = []
    for words in (("dashboard", "--out", str(tmp_path / "page")), ("status",), ("explain",), ("journal",)):
        done = command("trader", *words, "--store", "store", cwd=week, check=True, **secrets)
        said.append(done.stdout + done.stderr)
    said.append((tmp_path / "page" / "index.html").read_text())
    assert [text for text in said if canary in text] == []
