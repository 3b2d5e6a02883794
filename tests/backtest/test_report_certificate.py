"""A report shows the certificate of the model that it is about: on the page, in the figures, on the terminal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backtest.certificate.certify import certify
from backtest.commands.model_folder import newest_certificate_in, read_model
from backtest.report.certificate import certificate_part, certificate_rows
from backtest.report.page import page_of
from tests.support.certified import SPANS, a_bot, trained
from tests.support.fakes import MemoryStore
from tests.support.once import once
from tests.support.rig import command, quick_params
from tests.support.rig_bars import made_bars
from tests.support.screens import unwrapped
from trader.adapters.files import read_bars
from trader.app.certificates import keep
from trader.commands.check import subject_of
from trader.core.certificate import PARTS, check_of
from trader.core.params import params_of
from trader.core.types import parse_hour

SERVES = parse_hour("2021-03-01")
SPAN = ("--from", "2021-02-01", "--to", "2021-03-05", "--evidence", "evidence")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars, P.json and the store of a bot with a champion of these parameters and two certificates, of which the newer one
    failed; and a report of that model: `refused.html`, `refused.json`, and what the terminal was `told`."""
    return once(tmp_path_factory, "certified-report", _made)


def _made(folder: Path) -> None:
    values = {**quick_params(), "model": {"family": "naive"}}
    bars = read_bars(made_bars(folder, "2020-12-01", "2021-03-10"), "BTCUSDT")
    (folder / "P.json").write_text(json.dumps(values))
    (folder / "Q.json").write_text(json.dumps({**values, "look_back_days": 21}))
    store = MemoryStore()
    bot = a_bot(bars, store)
    card = trained(bot, params_of(values, "tests"), SERVES)
    made = certify(subject_of(bot, card, bars.last), bars.last, "tests", SPANS)
    spoilt = replace(made.parts[2], checks=(check_of("shocked bars", False, "a crash: P(up) is <b>nan</b>"),))
    keep(bot.journal, made)
    keep(bot.journal, replace(made, parts=(*made.parts[:2], spoilt, *made.parts[3:])))
    for key, data in store.objects.items():
        path = folder / "state" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "model").write_text(card.model_id)
    told = report(folder, "--model", "champion", "--params", "P.json", "--out", "refused.html").stdout
    (folder / "told").write_text(told)


def report(folder: Path, *words: str, check: bool = True) -> Any:
    """`backtest report` on a few days."""
    given = ("--bars", str(folder / "BTCUSDT-1h.parquet"), *SPAN)
    return command("backtest", "report", *given, *words, cwd=folder, check=check)


def copied(folder: Path, to: Path, *names: str) -> Path:
    """The folder of the model elsewhere, with some of its certificates."""
    model_id = (folder / "model").read_text()
    (to / model_id / "certificate").mkdir(parents=True)
    for name in ("model", "card", *names):
        (to / model_id / name).write_bytes((folder / "state" / "models" / model_id / name).read_bytes())
    return to / model_id


def test_a_refused_model_is_seen_to_be_refused(folder: Path) -> None:
    """Every comparison of the newest certificate with its words; what failed is marked; markup in a text stays text."""
    said = unwrapped((folder / "told").read_text())
    model_id = (folder / "model").read_text()
    told = json.loads((folder / "refused.json").read_text())["certificate"]
    assert (told["model_id"], told["number"], told["passed"], told["failed"]) == (
        model_id,
        2,
        False,
        ["extremes"],
    )
    assert [it["part"] for it in told["parts"]] == list(PARTS)
    assert f"number 2 of {model_id}" in said
    assert "FAILED: extremes" in said
    assert "FAILED: shocked bars: a crash: P(up) is <b>nan</b>" in said
    page = (folder / "refused.html").read_text()
    assert f"Certificate 2 of the model {model_id}" in " ".join(page.split())
    assert "failed: extremes" in page
    assert "FAILED: a crash: P(up) is &lt;b&gt;nan&lt;/b&gt;" in page
    words = [check["words"] for part in told["parts"] for check in part["checks"] if check["passed"]]
    assert len(words) > 8
    assert all(word.replace("'", "&#39;") in page for word in words)


def test_a_certificate_that_passed_or_is_missing_is_shown(folder: Path, tmp_path: Path) -> None:
    """The first certificate passed. Without any, the page and the terminal name the command that makes one."""
    own = copied(folder, tmp_path, "certificate/000001")
    card, _ = read_model(own)
    told = certificate_part(card, newest_certificate_in(own, card, "BTCUSDT"))
    assert (told["number"], told["passed"], told["words"]) == (1, True, "passed")
    assert [words for _, words in certificate_rows(told)][1:] == ["passed"] * len(PARTS)
    assert newest_certificate_in(own, card, "ETHUSDT") is None
    (own / "certificate" / "000001").unlink()
    none = certificate_part(card, newest_certificate_in(own, card, "BTCUSDT"))
    assert (none["number"], none["passed"]) == (None, None)
    ((_, words),) = certificate_rows(none)
    assert f"trader check {card.model_id}" in words
    page = page_of({**json.loads((folder / "refused.json").read_text()), "certificate": none})
    assert f"trader check {card.model_id}" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--model", "champion", "--params", "Q.json"),
            "has other parameters than the report: look_back_days 20, not 21",
        ),
        (("--model", "nothing"), "'nothing' names no model in state"),
        (("--model", "champion", "--store", "nowhere"), "nowhere holds no models"),
        (
            ("--model", "champion", "--symbol", "ETHUSDT"),
            "champion names no single model in state: no model of ETHUSDT",
        ),
        (("--store", "state"), "--store names where --model lies; give --model, or leave --store out"),
    ],
)
def test_a_certificate_of_something_else_is_not_shown(
    folder: Path, words: tuple[str, ...], said: str
) -> None:
    """Exit 2 before anything is computed, with the way out."""
    params = () if "--params" in words else ("--params", "P.json")
    done = report(folder, *words, *params, "--out", "none.html", check=False)
    assert done.returncode == 2
    assert said in unwrapped(done.stderr)
    assert not (folder / "none.json").exists()


def test_a_certificate_that_was_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    """One that names another card is not believed."""
    own = copied(folder, tmp_path, "certificate/000001")
    there = own / "certificate" / "000001"
    there.write_text(json.dumps({**json.loads(there.read_bytes()), "card_sha256": "0" * 64}))
    done = report(folder, "--model", str(own), "--out", "none.html", "--params", "P.json", check=False)
    assert done.returncode == 2
    assert f"not of the card of {own.name}; it was moved or one of both was changed" in unwrapped(done.stderr)
