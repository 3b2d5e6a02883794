"""A user's own family in a file: read, checked before it trains, remembered by its models, and never taken from a store."""

from __future__ import annotations

import inspect
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backtest.engine.history import History
from backtest.executors.local import LocalExecutor
from backtest.study.cache import code_hash
from backtest.study.space import space_of
from backtest.study.trial_context import SearchTask
from backtest.study.tune import tune
from tests.support.bars_made import bars_made
from tests.support.fakes import MemoryStore
from tests.support.own_family import BROKEN, CENTROID, written
from tests.support.rig import command
from trader import own_families
from trader.adapters import user_models
from trader.adapters.files import write_bars
from trader.app.collect import Collector
from trader.app.journal import Journal
from trader.app.retrain import load_card, load_model, retrain
from trader.core import families
from trader.core.errors import ConfigError, DataError
from trader.core.families import OwnFamily, family_hash, own_family
from trader.core.model import CARD_SCHEMA, ModelCard
from trader.core.model_params import FAMILIES
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import HOUR_MS, Bars, Filters, iso
from trader.forecasters.registry import forecaster_of, installed

BARS = bars_made(7_000, 5)
START = BARS.first + 5_000 * HOUR_MS


def params(steepness: float = 2.0) -> Params:
    """The family in P.json."""
    model = {"family": "centroid", "steepness": steepness}
    return params_of({**DEFAULT_PARAMS, "model": model, "look_back_days": 30}, "a test")


def params_text() -> dict[str, Any]:
    """The same as a user writes it."""
    return {**DEFAULT_PARAMS, "model": {"family": "centroid"}}


def loaded(path: Path) -> OwnFamily:
    """The one family of a file, as a command loads it for a verb that does not train."""
    (own,) = own_families.load(path, check=False)
    return own


def forget() -> None:
    """As another process, which was not given the file."""
    FAMILIES.pop("centroid")
    families._known.clear()


class BarsAtHand:
    """A market that is a series."""

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """The rows within."""
        return BARS.span(start, stop)


def trained(store: MemoryStore) -> str:
    """The id of a model that was trained and published."""
    collector, journal = Collector(BarsAtHand(), "BTCUSDT"), Journal(store, "BTCUSDT")
    return retrain(journal, collector, forecaster_of, params(), START, "tests").model_id


def test_a_family_of_a_file_is_named_in_p_json_like_any_other(tmp_path: Path) -> None:
    """Its keys have defaults and bounds, unknown ones are refused, and parameters survive being written."""
    with pytest.raises(ConfigError, match=r"not 'centroid'.*model_module in trader.toml"):
        params()
    loaded(written(tmp_path))
    chosen = params()
    assert chosen.model.model_dump() == {"family": "centroid", "steepness": 2.0, "least_rows": 2}
    assert Params.model_validate_json(chosen.model_dump_json()) == chosen
    assert params_of(chosen.as_json(), "again") == chosen
    with pytest.raises(
        ConfigError, match=r"'model.steepness': input should be less than or equal to 10, not 11"
    ):
        params(11)
    assert installed()[-1] == forecaster_of("centroid").family == "centroid"


def printed(page: str) -> str:
    """The file that a page of docs/ prints."""
    text = (Path(__file__).resolve().parents[2] / "docs" / page).read_text()
    found = re.search(r"^```python\n(# my_family\.py\n.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found, page
    return found[1]


@pytest.mark.parametrize("source", [CENTROID, printed("families.md")], ids=["here", "docs/families.md"])
def test_it_keeps_every_promise(source: str, tmp_path: Path) -> None:
    """The family of these tests and the one that the docs print: all checks, the one across processes too."""
    (tmp_path / "my_family.py").write_text(source)
    found = list(own_families.findings(loaded(tmp_path / "my_family.py")))
    assert [it for it in found if it.problem] == []
    assert found[-1].check == own_families.PROCESSES


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_promise_is_found_and_named(how: str, tmp_path: Path) -> None:
    """Each kind by its own check, and training is refused with the family, the check and the command that shows all."""
    more, check, says = BROKEN[how]
    own = loaded(written(tmp_path, more=more))
    with pytest.raises(ConfigError, match=r"family 'centroid' of .*my_family.py does not keep") as refused:
        own_families.require_contract(own)
    assert f"{check}: " in str(refused.value)
    assert says in str(refused.value)
    assert "backtest model-check" in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("", "raise SystemError('no')\n", "model_module .* failed: SystemError: no"),
        ('"centroid"', '"naive"', "there is a family of models 'naive' already"),
        ('    family = "centroid"', '    family = "other"', "family 'centroid' lacks a forecaster"),
        ("(FamilyParams)", "", "family 'centroid' lacks a FamilyParams"),
        ('family: Literal["centroid"] = "centroid"', "family: str", "CentroidParams needs family: Literal"),
        ("def learn", "def learns", "family 'centroid' lacks a forecaster"),
    ],
)
def test_a_file_that_defines_no_family_is_refused(old: str, new: str, says: str, tmp_path: Path) -> None:
    """With the file, and what to write."""
    path = tmp_path / "my_family.py"
    path.write_text(CENTROID.replace(old, new) if old else new)
    with pytest.raises(ConfigError, match=says):
        user_models.load(path)
    assert own_family("centroid") is None


def test_a_file_without_any_family_is_refused(tmp_path: Path) -> None:
    """An empty file is no family."""
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(ConfigError, match="defines no family of models; write a subclass of FamilyParams"):
        user_models.load(tmp_path / "empty.py")


def test_what_is_hashed_is_what_was_run(tmp_path: Path) -> None:
    """The file changes after it was read: hash and source are those of the code in this process, also in a study's cache."""
    path = written(tmp_path)
    own = loaded(path)
    before = code_hash(own.make())
    path.write_text("raise SystemExit\n")
    module = inspect.getmodule(own.make)
    assert module is not None
    assert own.source == CENTROID == inspect.getsource(module)
    assert code_hash(own.make()) == before


def test_a_model_remembers_the_file_of_its_family(tmp_path: Path) -> None:
    """The hash stands in the card and so decides the id; the same file serves, another one does not, no file says the way out."""
    store, path = MemoryStore(), written(tmp_path)
    loaded(path)
    model_id = trained(store)
    journal = Journal(store, "BTCUSDT")
    card, _ = load_model(journal, model_id)
    assert card.family_hash == family_hash("centroid") != ""

    forget()
    loaded(written(tmp_path, more="# another word\n"))
    with pytest.raises(
        DataError, match=r"'centroid' was defined by another file .*Train again: trader retrain"
    ):
        load_model(journal, model_id)
    assert trained(MemoryStore()) != model_id

    forget()
    with pytest.raises(ConfigError, match=r"no family of models 'centroid'.*model_module = \"FILE.py\""):
        load_model(journal, model_id)
    assert load_card(journal, model_id) == card


def test_a_card_of_a_shipped_family_has_the_bytes_of_before() -> None:
    """No key was added to it, so its id is the one that it had."""
    card = ModelCard(CARD_SCHEMA, "", "", "naive", "json", ["A"], "", [], "", {}, 0, 0, 0, 1, "", "1", {})
    assert "family_hash" not in json.loads(card.to_bytes())
    assert json.loads(replace(card, family_hash="ab").to_bytes())["family_hash"] == "ab"


def test_a_store_names_no_file(tmp_path: Path) -> None:
    """Whatever a card says, no path of it is read: a module comes from the user's setting alone."""
    store, path = MemoryStore(), written(tmp_path)
    loaded(path)
    trained(store)
    assert [key for key, data in store.objects.items() if str(path).encode() in data] == []


def test_a_study_searches_the_bounds_of_its_keys(tmp_path: Path) -> None:
    """A key with a least and a most value is searched between them; a key with an open end keeps its value. Two workers give the
    study of one: the family is fitted where its file was run."""
    loaded(written(tmp_path))
    space = space_of(params())
    assert list(space.ranges) == ["steepness"]
    assert space.nearest(params(10).model, 7) == {"steepness": 10, "look_back_days": 30}
    stop = START + 30 * 24 * HOUR_MS
    task = SearchTask(
        forecaster_of("centroid"), BARS, params(), Filters.derived(30_000.0), START, stop, "made bars"
    )
    alone = tune(task, trials=2, seed=1, batch=2)
    executor = LocalExecutor(2)
    beside = tune(task, trials=2, seed=1, batch=2, executor=executor)
    executor.close()
    assert [it.value for it in beside.trials] == [it.value for it in alone.trials]
    assert {it.params.model.family for it in alone.trials} == {"centroid"}


def test_a_task_says_the_hash_of_the_file(tmp_path: Path) -> None:
    """So that no executor takes the result of another file's family for this one's."""
    own = loaded(written(tmp_path))
    history = History.of(own.make(), BARS, params(), START, START + 48 * HOUR_MS)
    assert history.settings()["family_hash"] == own.code_hash
    shipped = History.of(forecaster_of("naive"), BARS, params(), START, START + 48 * HOUR_MS)
    assert "family_hash" not in shipped.settings()


def test_the_command_checks_a_file(tmp_path: Path) -> None:
    """Exit 2 with each broken promise, and a machine gets every finding."""
    path = written(tmp_path, more=BROKEN["ranks within the batch"][0])
    done = command("backtest", "model-check", str(path), "--json", cwd=tmp_path, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == 2
    assert {(it["check"], it["horizon_hours"]) for it in told if it["problem"]} >= {
        ("one by one is as in a batch", 1),
        ("one by one is as in a batch", 4),
    }


def test_a_verb_that_trains_checks_first(tmp_path: Path) -> None:
    """Named in trader.toml, a broken family ends `backtest run` before anything is fitted or written."""
    written(tmp_path, more=BROKEN["ranks within the batch"][0])
    (tmp_path / "trader.toml").write_text('model_module = "my_family.py"\n')
    (tmp_path / "P.json").write_text(json.dumps({**params_text(), "look_back_days": 30}))
    write_bars(tmp_path / "BTCUSDT-1h.parquet", BARS.rows(0, 1_500))
    hours = ("--from", iso(BARS.first + 1_000 * HOUR_MS)[:10], "--to", iso(BARS.first + 1_100 * HOUR_MS)[:10])
    given = ("--bars", "BTCUSDT-1h.parquet", *hours, "--params", "P.json", "--hours-out", "hours.jsonl")
    done = command("backtest", "run", *given, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "does not keep what every family promises: one by one is as in a batch" in done.stderr
    assert (tmp_path / "hours.jsonl").read_text() == ""


def test_a_family_is_checked_when_it_is_first_asked_for(tmp_path: Path) -> None:
    """Not when the file is read: a retrain that is not due, and a tick, cost nothing."""
    path = written(tmp_path, more=BROKEN["ranks within the batch"][0])
    own_families.load(path, check=False)
    assert forecaster_of("centroid").family == "centroid"
    own_families.load(path, check=True)
    with pytest.raises(ConfigError, match="does not keep what every family promises"):
        forecaster_of("centroid")


def test_a_pipe_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    """Nobody waits for it."""
    os.mkfifo(tmp_path / "my_family.py")
    with pytest.raises(ConfigError, match=r"model_module .*no plain file but a pipe"):
        user_models.load(tmp_path / "my_family.py")
