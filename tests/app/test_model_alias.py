"""What champion and challenger mean among published models."""

from __future__ import annotations

from trader.app.model_alias import CHALLENGER, CHAMPION, aliased, is_alias
from trader.core.lifecycle import Champion

KNOWN = [
    Champion("a", 10),
    Champion("b", 20),
    Champion("c", 20),
    Champion("d", 30),
    Champion("e", 30),
    Champion("f", 25),
]


def test_the_champion_serves_the_hour_and_the_challenger_a_later_one() -> None:
    """The latest first hour counts, and of several models for it the newest event; before and after all there is none."""
    champions = {hour: aliased(KNOWN, CHAMPION, hour) for hour in (9, 10, 20, 29, 30, 99)}
    assert {hour: it and it.model_id for hour, it in champions.items()} == {
        9: None,
        10: "a",
        20: "c",
        29: "f",
        30: "e",
        99: "e",
    }
    challengers = {hour: aliased(KNOWN, CHALLENGER, hour) for hour in (9, 20, 29, 30)}
    assert {hour: it and it.model_id for hour, it in challengers.items()} == {
        9: "e",
        20: "e",
        29: "e",
        30: None,
    }
    assert aliased([], CHAMPION, 10) is aliased([], CHALLENGER, 10) is None


def test_an_alias_is_no_id() -> None:
    """Nor is the beginning of one."""
    assert [is_alias(it) for it in (CHAMPION, CHALLENGER, "champ", "20220301T03-1ed7", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]
