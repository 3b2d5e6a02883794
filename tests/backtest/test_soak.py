"""What the soak is made of: kinds of faults that the exchange takes, a plan that can be drawn again, harm at the right step.
The soak itself is `python -m benchmarks soak`; CI lives a week of it."""

from __future__ import annotations

import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.soak_faults import all_kinds, armed
from benchmarks.soak_person import ACTS, OWN_REASONS
from benchmarks.soak_plan import Deck, plan_of
from benchmarks.soak_process import Trap, TrappedStore, Trouble
from tests.support.forked import crew
from trader.adapters.store_local import LocalStore
from trader.core.errors import Retry
from trader.exchange.faults import parse_faults

KINDS = all_kinds()


def test_the_exchange_takes_every_kind_of_fault() -> None:
    """Over a hundred kinds, each with a name of its own; its faults are such as `POST /sim/faults` accepts, the last by that
    name, and one of the store's has a trouble instead."""
    assert len({kind.title for kind in KINDS}) == len(KINDS) >= 100
    for kind in KINDS:
        if kind.faults:
            *_, last = parse_faults(armed(kind, 2, Decimal(1_000)))
            assert last.name == kind.title
            assert last.first == (2 if kind.passes else last.first)
        else:
            assert kind.trouble is not None


def test_every_halt_that_a_kind_may_cause_has_an_act_of_a_person() -> None:
    """No halt is expected that the soak's person could not leave."""
    assert {reason for kind in KINDS for reason in kind.halts} | set(OWN_REASONS) <= set(ACTS)


def test_an_amount_is_a_share_of_what_is_free() -> None:
    """A withdrawal goes with a minus, to the cent."""
    (kind,) = (kind for kind in KINDS if kind.name == "nearly all withdrawn")
    assert armed(kind, None, Decimal("1234.5678"))[-1]["amount"] == "-1197.53"


def test_a_plan_follows_from_the_seed_and_the_hour() -> None:
    """The same twice, another for another seed; kills and stops are among a hundred hours."""
    plans = [plan_of(7, number) for number in range(100)]
    assert plans == [plan_of(7, number) for number in range(100)]
    assert plans != [plan_of(8, number) for number in range(100)]
    harms = {trouble.harm for plan in plans for trouble in plan.troubles if trouble}
    assert harms == {"killed", "stopped"}


@pytest.mark.parametrize("for_order", [True, False])
def test_a_deck_draws_every_kind_before_one_comes_twice(for_order: bool) -> None:
    """Those that wait for an order, or the others; one that met nothing comes back behind them."""
    deck = Deck(3, for_order=for_order)
    kinds = [kind for kind in KINDS if kind.for_order == for_order]
    first = deck.draw()
    deck.put_back(first)
    drawn = [deck.draw() for _ in kinds]
    assert sorted(kind.title for kind in drawn) == sorted(kind.title for kind in kinds)
    assert drawn[-1] == first


@pytest.mark.parametrize(
    ("trouble", "held"),
    [
        (Trouble("fails", "write", 2), ["a/1", "a/3"]),
        (Trouble("fails from then on", "write", 2), ["a/1"]),
        (Trouble("reply lost", "create", 2), ["a/1", "a/2", "a/3"]),
        (Trouble("fails", "read", 1), ["a/1", "a/2", "a/3"]),
    ],
)
def test_a_store_fails_at_its_step(trouble: Trouble, held: list[str], tmp_path: Path) -> None:
    """The n-th operation of its sort ends as a full disk would, before the object is there or after it; the trap says so."""
    trap = Trap()
    inner = LocalStore(tmp_path / "store", durable=False)
    store = TrappedStore(inner, trap)
    trap.set(trouble)
    failed = 0
    for key in ("a/1", "a/2", "a/3"):
        try:
            store.create(key, b"x")
        except Retry:
            failed += 1
    assert inner.list("a/") == held
    assert failed == {"fails": 1, "fails from then on": 2, "reply lost": 1}[trouble.harm] * (
        trouble.steps != "read"
    )
    if trouble.steps == "read":
        with pytest.raises(Retry, match="no space left"):
            store.get("a/1")
    assert trap.sprung
    trap.set(None)
    assert store.get("a/1") == b"x"
    assert not trap.sprung


def _soak_of(bars: Path, folder: Path) -> NoReturn:
    """A process of its own, as the soak forks more: `python -m benchmarks soak --bars ...`, what it says in a file."""
    sys.argv, tempfile.tempdir = ["benchmarks", "soak", "--bars", str(bars)], str(folder)
    with (folder / "said").open("w") as sys.stderr:
        sys.exit(benchmarks.main())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.parquet", "none.parquet: no such file; check the path of the bars"),
        (
            "short.csv",
            "short.csv: has bars for 0 hours after the 2,272 of history; 2,000 were asked for: give fewer",
        ),
    ],
)
def test_bars_that_cannot_be_used_end_the_soak_with_a_sentence(name: str, says: str, tmp_path: Path) -> None:
    """As every command says it, with exit 2, without a traceback, and nothing is left in the folder of temporary files."""
    (tmp_path / "short.csv").write_text(
        "open_time,open,high,low,close,volume\n1701388800000,1,2,0.5,1.5,10\n"
    )
    child = crew.Process(target=_soak_of, args=(tmp_path / name, tmp_path))
    child.start()
    child.join(60)
    said = (tmp_path / "said").read_text()
    assert (child.exitcode, said.count("\n")) == (2, 1), said
    assert said.startswith(f"ConfigError: {tmp_path}/{says}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["said", "short.csv"]


@pytest.mark.parametrize(
    "words", [["--hours", "3"], ["soak", "replay", "--seed", "1"], ["soak", "--small", "--json"]]
)
def test_options_of_the_soak_are_no_others(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given with another benchmark, or with the small form, they end the program with a sentence."""
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    with pytest.raises(SystemExit, match="2"):
        benchmarks.main()
    assert "belongs to: python -m benchmarks soak" in capsys.readouterr().err
