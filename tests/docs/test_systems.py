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


# Of each part of "Models in production, at scale": a test that presses it in depth, and what that test says to the program or
# asks it. test_production_pressed.py types the page's own commands.
PRESSED = {
    "before training: the horizon, reasons, speed of inference, one model or many": (
        "select/test_choices.py",
        "choices --bars",
    ),
    "the whole horizon predicted at once, not step by step": ("app/test_forecast_ahead.py", '"forecast"'),
    "production gives the predictions that the test gave": ("certificate/test_drills.py", "production("),
    "the newest data is predicted well, not only the average": ("certificate/test_newest.py", "newest("),
    "extreme input moves the output the right way": ("certificate/test_extremes.py", "extremes("),
    "the scaler and the input's format are checked": ("certificate/test_formats.py", "formats("),
    "nothing is promoted that was not checked": (
        "certificate/test_traded_hours.py",
        '"TRADER_CERTIFICATE": "always"',
    ),
    "confidence intervals": ("backtest/test_forecast_forward.py", '"forecast"'),
    "export to TorchScript and ONNX": ("commands/test_export.py", '"--format"'),
    "inference timed in each form": ("commands/test_export.py", '"time-inference", "champion"'),
    "data from SQL": ("sources/test_source_commands.py", "sqlite"),
    "data from Parquet and object stores": ("sources/test_source_contract.py", "s3://{bucket}"),
    "data from streams": ("streams/test_run_stream.py", '"--stream"'),
    "predictions as a stream": ("streams/test_signals_redis.py", "Signals"),
    "an inference API in a container": ("system/test_serve.py", '("serve", "--host", "0.0.0.0"'),
    "monitoring": ("infra/test_compose.py", "grafana"),
    "regular updates": ("app/test_breach_command.py", '"--if-due"'),
    "scaling with load": ("serving/test_overload.py", "BUSY"),
}


def test_every_part_of_production_is_pressed_by_a_test() -> None:
    """Each row has a test, and that test asks for it: a part without one, or a test that was renamed, is found here."""
    section = PAGE.read_text().split("## Models in production, at scale")[1]
    parts = {part for part in re.findall(r"^\| (.+?) \| .+ \|$", section, re.MULTILINE) if part != "its part"}
    assert parts == set(PRESSED)
    for part, (file, asked) in PRESSED.items():
        assert asked in (ROOT / "tests" / file).read_text(), f"{part}: {file} does not ask for {asked}"
