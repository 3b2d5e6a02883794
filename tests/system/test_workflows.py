"""Dockerfile, workflows and shell scripts, judged by the field's own linters."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.system.containers import ROOT, run

BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_hadolint_finds_nothing() -> None:
    """The Dockerfile."""
    run(str(BIN / "hadolint"), str(ROOT / "Dockerfile"))


def test_actionlint_finds_nothing() -> None:
    """Expressions, contexts, runner labels, shell in the workflows."""
    run(str(BIN / "actionlint"), *map(str, WORKFLOWS))


def test_the_workflow_schema_accepts_them() -> None:
    """The schema that editors use."""
    check = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows"]
    run(*check, *map(str, WORKFLOWS))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_ask_for_little(workflow: Path) -> None:
    """No permission by default, a limit on every job, one run at a time, every action pinned to a commit."""
    text = workflow.read_text()
    parsed = yaml.safe_load(text)
    assert parsed["permissions"] == {}
    assert "concurrency" in parsed
    assert all(job["timeout-minutes"] <= 45 for job in parsed["jobs"].values())
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", line[0])] == []
    assert "secrets." not in text


@pytest.mark.parametrize("script", sorted((ROOT / "infra").rglob("*.sh")), ids=lambda path: path.name)
def test_scripts_parse(script: Path) -> None:
    """And can be executed."""
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert script.stat().st_mode & 0o111
