"""The report: one file that needs nothing else, its figures those of the run, its looks counted."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from backtest.report.drawing import NARROW, ROLES, WIDE
from backtest.report.page import page_of
from backtest.report.study_charts import STUDY_CHARTS
from backtest.study.importance import importance
from tests.support.once import once
from tests.support.rig import command, quick_params
from tests.support.rig_bars import made_bars
from trader.terminal import WIDTH

SPAN = ("--from", "2021-03-05", "--to", "2021-04-06")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a month, and the run that it is about."""
    return once(tmp_path_factory, "report", _reported)


def _reported(there: Path) -> None:
    bars = made_bars(there, "2020-12-01", "2021-05-01")
    (there / "P.json").write_text(json.dumps(quick_params(step_days=10)))
    given = ("--bars", str(bars), *SPAN, "--params", "P.json")
    command("backtest", "report", *given, "--out", "one.html", cwd=there)
    command("backtest", "run", *given, "--hours-out", "hours.jsonl", "--evidence", "other", cwd=there)


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, Any]:
    """Its figures."""
    found: dict[str, Any] = json.loads((folder / "one.json").read_text())
    return found


class Links(HTMLParser):
    """Every tag, and every address that a page would ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what loads something."""
        self.tags.append(tag)
        wanted = ("src", "href", "xlink:href", "data", "action")
        self.asked += [
            value for name, value in attrs if name in wanted and value and not value.startswith("#")
        ]


def test_the_page_needs_nothing_but_itself(folder: Path) -> None:
    """No script, no style sheet, no picture, no font from elsewhere."""
    links = Links()
    text = (folder / "one.html").read_text()
    links.feed(text)
    assert [address for address in links.asked if not address.startswith("data:")] == []
    assert not {"script", "link", "img", "iframe"} & set(links.tags)
    assert links.tags.count("svg") == 2 * 5
    assert not re.search(r"url\(\s*['\"]?https?:", text)


def test_the_figures_are_those_of_the_run(folder: Path, told: dict[str, Any]) -> None:
    """Days, months and windows each compound to the net return that the hours give."""
    lines = [json.loads(line) for line in (folder / "hours.jsonl").read_text().splitlines()]
    grown = float(lines[-1]["equity"]) / 10_000
    assert told["summary"]["net_return"] == pytest.approx(grown - 1, abs=1e-9)
    assert told["curve"]["equity"][-1] == pytest.approx(grown * 10_000, abs=0.006)
    for part in ("months", "windows"):
        product = 1.0
        for row in told[part]:
            product *= 1 + row["net_return"]
        assert product == pytest.approx(grown, abs=1e-4), part
    assert sum(row["hours"] for row in told["windows"]) == len(lines)
    assert sum(row["orders"] for row in told["windows"]) == told["summary"]["orders"]
    assert max(told["curve"]["drawdown"]) == pytest.approx(told["summary"]["max_drawdown"], abs=1e-5)
    scores = told["p_up"]
    sides = scores["at_or_above_enter"] + scores["between"] + scores["at_or_below_leave"] + scores["unknown"]
    assert sides == len(lines)
    assert sum(scores["counts"]) == len(lines) - scores["unknown"]


def test_every_figure_of_the_verdict_is_on_the_page(folder: Path, told: dict[str, Any]) -> None:
    """A reader sees the sentence and what it rests on."""
    text = (folder / "one.html").read_text()
    evidence = told["evidence"]
    assert f"{evidence['dsr']:.3f}" in text
    assert told["settings"]["data_hash"] in text
    assert told["settings"]["config_hash"] in text
    assert len(evidence["seeds"]["net_returns"]) == 10


def test_each_look_is_counted_and_a_configuration_once(
    folder: Path, told: dict[str, Any], tmp_path: Path
) -> None:
    """Looking again at the same hours, by a run, is an earlier look for the next report; another configuration deflates."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "Q.json").write_text(json.dumps(quick_params(step_days=10, seed=3)))
    given = ("--bars", "BTCUSDT-1h.parquet", *SPAN, "--json", "--params")
    command("backtest", "run", *given, "P.json", cwd=tmp_path)
    again = json.loads(
        command("backtest", "report", *given, "Q.json", "--out", "again.html", cwd=tmp_path).stdout
    )
    counts = [it["evidence"]["trials"] for it in (told, again)]
    assert [count["configurations"] for count in counts] == [1, 2]
    assert [count["looks"] for count in counts] == [0, 2]
    done = command("backtest", "compare", "one.json", "again.json", cwd=tmp_path).stdout
    assert re.search(r"^seed +7 +3$", done, re.MULTILINE)
    assert "Do not trade" in done
    assert max(map(len, done.splitlines())) <= WIDTH


def test_every_picture_is_drawn_for_both_widths_in_the_colours_of_the_page(folder: Path) -> None:
    """Wide and narrow ones, each colour a variable of the page, so that a dark page has none of the light one's; ids that
    one picture refers to are no other's."""
    pictures = re.findall(r"<svg .*?</svg>", (folder / "one.html").read_text(), re.DOTALL)
    first_classes = [re.findall(r'class="(\w+)"', picture)[0] for picture in pictures]
    assert first_classes == ["wide", "narrow"] * 5
    assert [colour for colour in [*ROLES, "#ffffff"] if colour in "".join(pictures)] == []
    cut = [set(re.findall(r'<clipPath id="(\w+)"', picture)) for picture in pictures]
    assert sum(map(len, cut)) == len(set().union(*cut)) > 0


def test_planted_markup_stays_text(told: dict[str, Any]) -> None:
    """A symbol, a file name, a verdict: none of them is code."""
    planted = {**told, "symbol": "<script>alert(1)</script>"}
    planted["settings"] = {**told["settings"], "bars": "<img src=x onerror=alert(1)>"}
    text = page_of(planted)
    assert "<script" not in text
    assert "<img" not in text


def test_a_search_is_drawn_with_pruned_trials_and_without_any() -> None:
    """History, importance, parallel coordinates and slices, for many trials, for one, and for none complete."""
    rows = [
        {"number": i, "state": ("complete", "pruned")[i % 5 == 4], "value": None if i % 5 == 4 else -((i % 7) ** 2) / 10,
         "params": {"depth": i % 7, "rate": 0.1 + i / 100}}
        for i in range(30)
    ]  # fmt: skip  # read as a table
    for trials, paper in product((rows, rows[:1], rows[4:5]), (WIDE, NARROW)):
        study = {"objective": "net_sharpe", "trials": trials, "importance": importance(trials)}
        drawn = {name: draw({"study": study}, paper) for name, draw in STUDY_CHARTS.items()}
        assert drawn["history"].startswith("<svg")
        assert bool(drawn["parallel"]) is (len(trials) > 1)


def test_importance_finds_what_matters() -> None:
    """A parabola in one parameter, a little slope in another, nothing in a third; too few trials say nothing."""
    rows = [
        {"value": -((i % 10) - 3) ** 2 + 0.01 * (i % 7), "params": {"much": i % 10, "little": i % 7, "none": i % 3, "one": 1}}
        for i in range(210)
    ]  # fmt: skip  # read as a table
    found = importance(rows)
    assert found["much"] > 0.8
    assert sum(found.values()) == pytest.approx(1, abs=1e-3)
    assert "one" not in found
    assert importance(rows[:5]) == {}


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "other"}'])
def test_what_is_no_report_is_not_compared(folder: Path, tmp_path: Path, text: str) -> None:
    """With the way out."""
    (tmp_path / "bad.json").write_text(text)
    done = command("backtest", "compare", str(folder / "one.json"), "bad.json", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "backtest report" in done.stderr


def test_a_studys_trials_count_and_are_drawn(folder: Path, tmp_path: Path) -> None:
    """Every configuration of the study deflates; its returns give the effective number and the chance of overfitting."""
    bars = str(made_bars(tmp_path, "2020-07-01", "2021-05-01"))
    searched = ("--bars", bars, "--from", "2021-02-10", "--to", "2021-03-01", "--trials", "4", "--exact")
    (tmp_path / "base.json").write_text(json.dumps(quick_params(step_days=10)))
    done = command(
        "backtest", "tune", *searched, "--params", "base.json", "--study", "study", "--json", cwd=tmp_path
    )
    configurations = json.loads(done.stdout)["configurations"]
    given = ("--bars", bars, *SPAN, "--params", "study/P.json", "--study", "study", "--json")
    told = json.loads(command("backtest", "report", *given, cwd=tmp_path).stdout)
    evidence = told["evidence"]
    assert evidence["trials"]["evaluations"] == configurations + 1
    assert 1 <= evidence["effective"] <= 4
    assert 0 <= evidence["pbo"] <= 1
    assert [trial["number"] for trial in told["study"]["trials"]] == [0, 1, 2, 3]
    links = Links()
    links.feed((tmp_path / "report.html").read_text())
    assert links.tags.count("svg") == 2 * 8
    refused = command("backtest", "report", *given[:-3], "--study", "nowhere", cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert "backtest tune --study nowhere" in refused.stderr
