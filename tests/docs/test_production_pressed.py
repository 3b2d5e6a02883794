"""docs/systems.md, "Models in production, at scale": the commands of each row are typed as the page has them, in one bot's folder.

What a row needs beside its own words (a file of bars, an hour to stop at) is added behind them. Commands that would take a
container or half a minute are typed by tests of their own, which are named here with the words that they type.
"""

from __future__ import annotations

import json
import re
import shlex
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT
from tests.docs.test_pages import SPAN
from tests.support import forked
from tests.support.bar_sources import sqlite_of
from tests.support.resp_server import resp_server
from tests.support.rig import Venue, quick_params, venue
from tests.support.rig_bars import made_bars
from tests.support.s3_kit import moto
from trader.adapters.files import read_bars
from trader.core.types import HOUR_MS, iso, parse_hour

SECTION = (ROOT / "docs" / "systems.md").read_text().split("## Models in production, at scale")[1]
START = parse_hour("2021-03-06")
DAY = ("--from", "2021-02-25", "--to", "2021-02-26")
NAIVE = {"family": "naive", "forecast_hours": 24}


@dataclass
class Bot:
    """A bot that has traded an hour, its bars in every kind of place; and what each command has printed."""

    at: Venue
    printed: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where commands are typed."""
        return self.at.folder

    def typed(self, text: str, *more: str, **settings: str) -> str:
        """What a command of the page prints, with more words behind it; typed once."""
        if text not in self.printed:
            program, *words = shlex.split(text)
            settings = {**self.at.environment, **settings}
            done = self.at.run(program, *words, *more, cwd=self.folder, **settings)
            self.printed[text] = done.stdout + done.stderr
        return self.printed[text]

    def json(self, text: str, *more: str, **settings: str) -> Any:
        """The same, of a command that is asked for JSON."""
        said = self.typed(text, *more, "--json", **settings)
        return json.loads(next(line for line in said.splitlines() if line.startswith(("{", "["))))


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    """Trees that were examined before they were published, an hour that they traded, and a family with quantiles beside them."""
    folder = tmp_path_factory.mktemp("production")
    file = made_bars(folder, "2020-10-01", "2021-03-10")
    (folder / "P.json").write_text(json.dumps(quick_params()))
    (folder / "N.json").write_text(json.dumps(quick_params(model=NAIVE)))
    sqlite_of(folder / "bars.db", [read_bars(file, "BTCUSDT")])
    with venue(folder, file, START - HOUR_MS) as at:
        made = Bot(at)
        made.typed("trader retrain", "--params", "P.json", TRADER_CERTIFICATE="always")
        made.at.run(
            "trader", "retrain", "--params", "N.json", cwd=folder, TRADER_STORE="naive", **at.environment
        )
        made.at.move_to(START)
        made.at.trader("tick")
        yield made


def choices(bot: Bot, text: str) -> None:
    """One family, by bars of its own: how far ahead, how many models, what it can say of its reasons."""
    said = bot.typed(text, "--bars", "BTCUSDT-1h.parquet", "--families", "naive")
    assert "What each can say of its reasons" in said
    assert re.search(r"Ahead: the most hours", said)


def ahead(bot: Bot, text: str) -> None:
    """Twenty-four hours in one answer, each with the prices of its quantiles in order."""
    hours = bot.json(text, TRADER_STORE="naive")["forecast"]
    assert [it["h"] for it in hours] == list(range(1, 25))
    assert all(it["prices"] == sorted(it["prices"]) for it in hours)


def fan(bot: Bot, text: str) -> None:
    """The picture, with its intervals."""
    assert "the intervals of 50, 80 and 95 %" in bot.typed(text, TRADER_STORE="naive")


def coverage(bot: Bot, text: str) -> None:
    """How often the intervals held, of a day of forecasts."""
    said = bot.typed(text, "--bars", "BTCUSDT-1h.parquet", "--params", "N.json", *DAY)
    assert "how often the interval of that level held" in " ".join(said.split())


def checked(part: str) -> Callable[[Bot, str], None]:
    """A part of the certificate, passed."""

    def press(bot: Bot, text: str) -> None:
        told = bot.json(text)
        checks = next(it["checks"] for it in told["parts"] if it["part"] == part)
        assert [it for it in checks if not it["passed"]] == []
        assert checks

    return press


def examined(bot: Bot, text: str) -> None:
    """The model was examined, and its card says what came of it."""
    assert "examining" in bot.typed(text)
    card = json.loads(bot.at.trader("models", "card", iso(START)[:4], "--json").stdout)
    assert card["certificate"]["passed"]


def exported(bot: Bot, text: str) -> None:
    """A file that was proved."""
    assert "proved" in bot.typed(text)
    assert (bot.folder / "champion.onnx").stat().st_size > 1_000


def traded(bot: Bot, text: str) -> None:
    """The same hours as from the file."""
    words = ("--symbol", "BTCUSDT", "--params", "N.json", *DAY, "--hours-out")
    bot.typed("backtest run", "--bars", "BTCUSDT-1h.parquet", *words, "file.jsonl")
    if "s3://" not in text:
        bot.typed(text, *words, "source.jsonl")
    else:
        with moto(bot.folder) as server:
            server.client().create_bucket(Bucket="bucket")
            server.client().upload_file(
                str(bot.folder / "BTCUSDT-1h.parquet"), "bucket", "bars/BTCUSDT-1h.parquet"
            )
            where = {"TRADER_S3_ENDPOINT_URL": server.url, "TRADER_S3_REGION": "us-east-1"}
            bot.typed(text, *words, "source.jsonl", **where, **server.environment)
    written = [(bot.folder / name).read_bytes() for name in ("file.jsonl", "source.jsonl")]
    assert written[0] == written[1] != b""


def signalled(bot: Bot, text: str) -> None:
    """An hour's signal is an entry of a stream."""
    with resp_server() as (url, streams):
        bot.at.move_to(START + HOUR_MS)
        settings = {**bot.at.environment, f"TRADER_{text.upper()}": url}
        bot.at.run("trader", "tick", cwd=bot.folder, **settings)
        assert [name for name, _ in streams.entries["hourly-trader:signals"]][-1].startswith(
            str(START + HOUR_MS)
        )


def served(bot: Bot, text: str) -> None:
    """A forecast over HTTP, and the metrics that a dashboard asks for, of requests that were shed too."""
    (bot.folder / "trader.toml").write_text(f'venue_url = "{bot.at.url}"\ntrackers = "none"\n')
    words = (*shlex.split(text), "--port", "0", "--json")
    with forked.running(words, bot.folder) as line:
        url = json.loads(line)["url"]
        request = urllib.request.Request(f"{url}/v1/forecast", b'{"symbol": "BTCUSDT"}')
        told = json.loads(urllib.request.urlopen(request, timeout=60).read())
        metrics = urllib.request.urlopen(f"{url}/metrics", timeout=60).read().decode()
    (bot.folder / "trader.toml").unlink()
    assert 0 < told["p_up"] < 1
    assert 'trader_serve_request_seconds_count{code="200",route="/v1/forecast"} ' in metrics
    assert 'trader_serve_shed_total{what="request"} 0.0' in metrics


def status(bot: Bot, text: str) -> None:
    """Of the bot: its model and its last hour."""
    assert "xgboost" in bot.typed(text)


def due(bot: Bot, text: str) -> None:
    """Nothing is due an hour after the last training."""
    assert "no retrain is due" in bot.typed(text)


Press = Callable[[Bot, str], None]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A test that types a command, and the words by which it does."""

    file: str
    words: str


# Each row: what it names in code, and who types it. A row that names no command says so by "".
ROWS: dict[str, dict[str, Press | Elsewhere]] = {
    "before training: the horizon, reasons, speed of inference, one model or many": {
        "backtest choices": choices
    },
    "the whole horizon predicted at once, not step by step": {"trader forecast --hours 24": ahead},
    "production gives the predictions that the test gave": {"trader check champion": checked("production")},
    "the newest data is predicted well, not only the average": {"trader check champion": checked("newest")},
    "extreme input moves the output the right way": {"trader check champion": checked("extremes")},
    "the scaler and the input's format are checked": {"trader check champion": checked("format")},
    "nothing is promoted that was not checked": {"trader retrain": examined},
    "confidence intervals": {"trader forecast": fan, "backtest forecast": coverage},
    "export to TorchScript and ONNX": {"trader export champion --format onnx --out champion.onnx": exported},
    "inference timed in each form": {
        "backtest time-inference champion": Elsewhere(
            "commands/test_export.py", '"time-inference", "champion"'
        )
    },
    "data from SQL": {'backtest run --bars "sqlite:///bars.db?table=bars"': traded},
    "data from Parquet and object stores": {"backtest run --bars s3://bucket/bars": traded},
    "data from streams": {
        "trader run --stream": Elsewhere("streams/test_run_stream.py", 'at.start("run", "--stream")')
    },
    "predictions as a stream": {"redis_url": signalled},
    "an inference API in a container": {
        "trader serve": Elsewhere("system/test_serve.py", '("serve", "--host"')
    },
    "monitoring": {
        "trader run": Elsewhere("streams/test_run_stream.py", 'run.metric("trader_stream_wakes_total")'),
        "trader serve": served,
        "trader status": status,
    },
    "regular updates": {"trader retrain --if-due": due},
    "scaling with load": {"trader serve": Elsewhere("system/test_serve.py", '["wrk", "-t1", f"-c{clients}"')},
}


@cache
def rows() -> dict[str, list[str]]:
    """The parts of the section, and what each names in code."""
    found = re.findall(r"^\| (.+?) \| (.+) \|$", SECTION, re.MULTILINE)
    return {part: SPAN.findall(answer) for part, answer in found if part != "its part"}


def test_every_row_is_typed_by_somebody() -> None:
    """A row that is new, gone, or names another command than before is found here."""
    assert rows() == {part: list(pressed) for part, pressed in ROWS.items()}


def test_the_commands_of_each_row_do_what_it_says(bot: Bot) -> None:
    """Typed as the page has them, or by the test that is named, which holds these words. One test, so that one bot is enough."""
    for part, pressed in ROWS.items():
        print(part)  # pytest shows the last one where a row fails
        for text, press in pressed.items():
            if isinstance(press, Elsewhere):
                assert press.words in (ROOT / "tests" / press.file).read_text(), press
            else:
                press(bot, text)
