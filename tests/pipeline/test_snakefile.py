"""The stages as rules for another engine, and one stage by itself; tests/system runs them by Snakemake on a Slurm."""

from __future__ import annotations

import re

from tests.pipeline.kit import Kitchen


def test_every_stage_is_a_rule_and_runs_by_itself(finished: Kitchen) -> None:
    """Run one after the other, as the rules call them, they give the outputs of a run; what they need must be there before."""
    wanted = finished.outputs()
    (finished.out).rename(finished.folder / "first")
    code, out, _ = finished.ask("pipeline p.toml --export snakemake")
    assert code == 0
    assert "7 rules" in out
    text = (finished.folder / "Snakefile").read_text()
    commands = re.findall(r"'backtest (pipeline p.toml --stage \S+ --workers) \{threads\}'", text)
    assert len(commands) == text.count("\nrule ") - 1 == 7
    assert "'out/current/predict/BTCUSDT/naive/predictions.parquet'," in text
    code, _, err = finished.ask(f"{commands[-1]} 1")
    assert code == 2
    assert "is not up to date (it has never run); run that stage first" in err
    for words in commands:
        assert finished.ask(f"{words} 1")[0] == 0
    assert finished.outputs() == wanted
    assert len(list((finished.out / "records").iterdir())) == 7
    assert finished.run() == []
    assert list((finished.out / "records").iterdir()) == []
    assert finished.ask(f"{commands[0]} 1")[1].endswith("was up to date\n")
    assert (
        "there is no stage 'predict/X'; there are predict/BTCUSDT/naive"
        in finished.ask("pipeline p.toml --stage predict/X")[2]
    )


def test_a_file_of_another_author_is_left_alone(kitchen: Kitchen) -> None:
    """A Snakefile that this command did not write is not written over."""
    (kitchen.folder / "Snakefile").write_text("rule mine:\n")
    code, _, err = kitchen.ask("pipeline p.toml --export snakemake")
    assert code == 2
    assert "Snakefile was not written by this command; move it aside" in err
