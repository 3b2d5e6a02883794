"""The README's result is the program's, and what it says of the demo's store is true."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.support import forked
from tests.support.once import once
from tests.support.rig import NOTHING_LEFT_BEHIND, command
from trader.app.story import HOUR_HEAD
from trader.core.types import HOUR_MS, iso, parse_hour
from trader.simulation.demo import BREACH
from trader.terminal import WIDTH

STREAMS = ("stdout", "stderr")
README = Path(__file__).resolve().parents[1] / "README.md"
DEMO_PATIENCE_S = 800  # half a minute alone; what counts its branches on a busy machine needs many times that


class Demo:
    """One run of the demo: what it printed and where its folder lies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table, self.said = ((folder / stream).read_text().strip() for stream in STREAMS)

    @staticmethod
    def run(folder: Path) -> None:
        """`trader demo`, its streams kept beside what it leaves."""
        surroundings = {"PATH": os.defpath, **NOTHING_LEFT_BEHIND}
        done = forked.run(("trader", "demo"), folder, surroundings, DEMO_PATIENCE_S)
        assert done.returncode == 0, done.stderr
        for stream, said in zip(STREAMS, (done.stdout, done.stderr), strict=True):
            (folder / stream).write_text(said)

    @property
    def summary(self) -> dict[str, Any]:
        """The summary that it leaves."""
        found: dict[str, Any] = json.loads((self.folder / "demo-run" / "summary.json").read_text())
        return found

    def trader(self, *words: str) -> str:
        """A command on the demo's store."""
        return command("trader", *words, "--store", "demo-run/store", cwd=self.folder).stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """`trader demo` in an empty folder."""
    return Demo(once(tmp_path_factory, "demo", Demo.run))


def test_the_readme_shows_what_the_demo_prints(demo: Demo) -> None:
    """The table within the first 48 lines of the README is the demo's own, digit for digit; it says that it is synthetic."""
    top = "\n".join(README.read_text().splitlines()[:48])
    assert demo.table in top
    assert "synthetic market" in demo.table


def test_the_demo_answers_one_breach(demo: Demo) -> None:
    """Within the two weeks one breach is written, searched for, answered by a model that serves the next hours; the demo
    says that its rule is strict on purpose."""
    (event,) = demo.summary["breaches"]
    assert event["at"] < event["serves_from"]
    assert "hit rate of 24 h" in event["why"]
    assert event["why"] in demo.said
    assert "strict on purpose" in demo.said
    status = json.loads(demo.trader("status", "--json"))
    assert status["model_id"] == event["model_id"]
    assert status["champion"]["words"] == f"breach 1: {event['why']}"


def test_the_journal_tells_the_story_of_the_breach(demo: Demo) -> None:
    """The hour before, the breach, the new model, the hour after: in this order, each hour with the model it had."""
    (event,) = demo.summary["breaches"]
    until = iso(parse_hour(event["serves_from"]) + 2 * HOUR_MS)
    told = demo.trader("journal", "--wide", "--from", event["at"], "--to", until).splitlines()
    assert told[0].split() == " ".join(HOUR_HEAD).split()
    assert event["model_id"] not in told[1]
    assert told[2] == f"{event['at'][:16]}Z  breach: {event['why']}"
    assert (
        told[3]
        == f"{event['serves_from'][:16]}Z  champion: model {event['model_id']} serves: breach 1: {event['why']}"
    )
    assert told[4].split()[:2] == [event["serves_from"][:16] + "Z", event["model_id"]]


def test_the_demo_its_status_and_its_page_say_one_number(demo: Demo) -> None:
    """Buy and hold, hit rate and net return: the table's, the status's and the page's are the same, and each screen says that
    the market is synthetic."""
    status = json.loads(demo.trader("status", "--json"))
    page = (demo.folder / "demo-run" / "page" / "index.html").read_text()
    for key in ("buy_and_hold", "hit_rate", "net_return"):
        assert status["results"][key] == pytest.approx(demo.summary[key], rel=1e-12)
    for shown in (f"{demo.summary['buy_and_hold'] * 100:+.2f} %", f"{demo.summary['hit_rate'] * 100:.2f} %"):
        assert shown in demo.table
        assert f"<dd>{shown}</dd>" in page
    for screen in (demo.table, demo.trader("status"), page):
        assert "synthetic market, seed 7" in screen


def test_the_demo_its_status_and_its_page_speak_of_one_retrain_rule(demo: Demo) -> None:
    """The rule that the hours were traded under, and not the settings', whatever those are."""
    status = json.loads(demo.trader("status", "--json"))
    page = (demo.folder / "demo-run" / "page" / "index.html").read_text()
    told = (BREACH.hours, BREACH.net_return_below, BREACH.hit_rate_below, True)
    assert tuple(status["retrain_rule"].values()) == told
    assert status["retrain"]["cooldown_hours"] == BREACH.cooldown_hours
    (until,) = {status["retrain"]["cooldown_until"]}
    assert f"cooldown until {until}" in page
    for screen in (" ".join(demo.trader("status").split()), demo.said):
        assert f"{BREACH.hours} " in screen
    assert "(below 50 % retrains)" in " ".join(demo.trader("status").split())


def test_the_journal_fits_eighty_columns(demo: Demo) -> None:
    """Hours and events alike; --wide has every column."""
    narrow, wide = demo.trader("journal").splitlines(), demo.trader("journal", "--wide").splitlines()
    assert max(map(len, narrow)) <= WIDTH < max(map(len, wide))
    assert narrow[0].split()[:2] == ["hour", "P(up)"]


def test_the_demo_ends_with_its_page_and_three_commands(demo: Demo) -> None:
    """Its last words are the page's address and three commands, each of which does its work as it is typed; the page tells
    the breach, the model that answered it, and every order."""
    (event,) = demo.summary["breaches"]
    page, heading, *lines = demo.said.splitlines()[-5:]
    assert (page, heading) == (f"the page: {demo.summary['page']}", "next:")
    typed = [shlex.split(line[30:]) for line in lines]
    assert [words[1] for words in typed] == ["status", "journal", "explain"]
    for words in typed:
        assert command(*words, cwd=demo.folder).stdout.strip()
    text = (demo.folder / "demo-run" / "page" / "index.html").read_text()
    assert "demo-run/page/index.html" in README.read_text()
    for said in (f"model {event['model_id']} serves: breach 1", event["why"], "Rolling hit rate, 24 h"):
        assert said in text
    assert text.count('class="bought"') + text.count('class="sold"') == demo.summary["orders"]
