"""docs/systems.md: each part of the four systems has an answer, and "not yet" is said of what is not there."""

from __future__ import annotations

import re

from backtest.executors.registry import EXECUTORS
from tests.commands.test_every_command import COMMANDS, options
from tests.docs.blocks import ROOT
from tests.docs.test_pages import calls, words_of

PAGE = ROOT / "docs" / "systems.md"


def rows() -> dict[str, str]:
    """The answer to each part, over all tables."""
    found = re.findall(r"^\| (.+?) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    return {part: answer for part, answer in found if part != "its part"}


def test_each_command_that_it_names_is_a_verb_with_these_options() -> None:
    """Whole verbs, read off both programs; a name that merely begins one is not enough."""
    named = calls(PAGE)
    assert len(named) >= 15
    for call in named:
        words = words_of(call)
        verb = next((tuple(words[:n]) for n in (3, 2) if tuple(words[:n]) in COMMANDS), None)
        assert verb is not None, f"no such command: {call}"
        given = {word for word in words if word.startswith("--")}
        assert given <= options(COMMANDS[verb]), call


def test_no_part_is_left_without_an_answer() -> None:
    """The parts of the four systems, each once, none empty."""
    assert len(rows()) >= 25
    assert all(answer.strip(" -") for answer in rows().values())


def test_executors_and_serving_are_not_promised() -> None:
    """Ray, Slurm and an endpoint: the page says "not yet" for as long as the programs have none."""
    answers = rows()
    assert ("not yet" in answers["parallel jobs on Slurm"]) == ("slurm" not in EXECUTORS)
    assert ("not yet" in answers["trials on Ray"]) == ("ray" not in EXECUTORS)
    assert ("not yet" in answers["online endpoint"]) == (("trader", "serve") not in COMMANDS)
    pipelines = {("trader", "pipeline"), ("backtest", "pipeline")} & set(COMMANDS)
    assert ("not yet" in answers["one file that names the steps and runs them as a pipeline"]) == (
        not pipelines
    )
