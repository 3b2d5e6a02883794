"""The image, really built and really run: sizes, a day's trading, its seals, and no secret anywhere in it."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.image.smoke import BEGIN, Machine, smoke, stamp
from tests.system import containers
from tests.system.containers import BASE, CANARY, RUN, STRAY, Engine, clean_context, run

pytestmark = pytest.mark.timeout(1200)  # a first build downloads a Debian base and two sets of wheels

MB = 1_000_000
HOURS = 8
# Both are children of one Python in the container: what the largest of them held, what it took.
MEASURE = """
import json, resource, subprocess, time
began = time.monotonic()
subprocess.run(["trader", "tick"], check=True)
kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"seconds": round(time.monotonic() - began, 2), "peak_mb": round(kib * 1024 / 1e6)}))
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """buildah and podman, and the base image."""
    yield from containers.engine()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with secrets strewn about."""
    return clean_context(tmp_path_factory.mktemp("context"))


@pytest.fixture(scope="module")
def image(engine: Engine, context: Path) -> str:
    """The image that ships."""
    engine.build(context, "localhost/hourly-trader:test", "no")
    return "localhost/hourly-trader:test"


@pytest.fixture(scope="module")
def traded(
    engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Machine, dict[str, Any]]:
    """Hours traded in the image, with a secret in the environment of every container."""
    folder = tmp_path_factory.mktemp("state")
    folder.chmod(0o777)
    machine = Machine(engine.podman, image, folder, list(RUN), {"AWS_SECRET_ACCESS_KEY": CANARY})
    return machine, smoke(machine, HOURS)


def beyond_base(engine: Engine, image: str) -> float:
    """MB that an image adds to its base."""
    return float(engine.inspect(image)["Size"] - engine.inspect(BASE)["Size"]) / MB


def test_the_image_is_at_most_550_mb(engine: Engine, image: str) -> None:
    """Beyond its base, with bytecode, without trackers."""
    size = beyond_base(engine, image)
    print(f"image beyond its base: {size:.0f} MB")
    assert size <= 550


def test_the_image_with_trackers_is_at_most_760_mb(engine: Engine, context: Path) -> None:
    """And MLflow and neptune can be imported in it."""
    tag = "localhost/hourly-trader:trackers"
    engine.build(context, tag, "yes")
    size = beyond_base(engine, tag)
    print(f"image with trackers beyond its base: {size:.0f} MB")
    assert size <= 760
    python = [
        *engine.podman,
        "run",
        "--rm",
        "--network",
        "none",
        "--read-only",
        *RUN,
        "--entrypoint",
        "python",
        tag,
    ]
    said = run(*python, "-W", "ignore", "-c", "import mlflow, neptune, matplotlib.figure; print('there')")
    assert said.splitlines()[-1] == "there"


def test_the_image_trades(traded: tuple[Machine, dict[str, Any]]) -> None:
    """Read-only, without capabilities, as nobody: every hour closed once, orders as the exchange executed them."""
    _, said = traded
    assert said["hours"] == HOURS
    assert said["orders"] >= 1


def test_a_tick_is_measured(traded: tuple[Machine, dict[str, Any]], engine: Engine, image: str) -> None:
    """Seconds and memory of one tick in the image, printed; memory does not depend on the machine's mood."""
    machine, _ = traded
    serve = machine.command("exchange", "--synthetic", "7", "--at", stamp(BEGIN), "--port", "0", "--json")
    folder = machine.folder / "measured"
    folder.mkdir()
    folder.chmod(0o777)
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as exchange:
        try:
            assert exchange.stdout is not None
            url = json.loads(exchange.stdout.readline())["url"]
            bot = Machine(engine.podman, image, folder, list(RUN), {"TRADER_VENUE_URL": url})
            (folder / "P.json").write_text((machine.folder / "P.json").read_text())
            bot.trader("retrain", "--params", "/state/P.json", "--serve-from", stamp(BEGIN))
            bot.options += ["--entrypoint", "python"]
            said = json.loads(bot.trader("-c", MEASURE).splitlines()[-1])
        finally:
            exchange.terminate()
            exchange.wait(timeout=60)
    print(f"a tick in the image: {said['seconds']} s, {said['peak_mb']} MB")
    assert said["peak_mb"] <= 300


def test_the_image_is_sealed(engine: Engine, image: str) -> None:
    """An unprivileged user, two writable places, a health check, the schedule as its command, bytecode for every module."""
    said = engine.inspect(image)
    config = said["Config"]
    assert config["User"] == "10001:10001"
    assert set(config["Volumes"]) == {"/state", "/tmp"}  # noqa: S108 - the container's own
    assert said["Healthcheck"]["Test"] == ["CMD", "trader", "health"]
    assert config["Cmd"] == ["run", "--cron-job", "/app/cron-job"]
    look = (
        "import compileall, pathlib, sys; print([str(p) for p in pathlib.Path('/opt').rglob('*.py') if "
        "'site-packages' in str(p) and not list((p.parent / '__pycache__').glob(p.stem + '.*.pyc'))][:5])"
    )
    sealed = [*engine.podman, "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "all", *RUN]
    missing = run(*sealed, "--entrypoint", "python", image, "-c", look)
    assert missing.strip() == "[]"
    touch = subprocess.run(
        [*sealed, "--entrypoint", "touch", image, "/app/x"], capture_output=True, check=False
    )
    assert touch.returncode != 0


def test_no_secret_is_in_a_layer(engine: Engine, image: str, tmp_path: Path) -> None:
    """Stray secrets beside the Dockerfile end in no layer and in no configuration."""
    archive = tmp_path / "image.tar"
    run(*engine.podman, "save", "--format", "docker-archive", "-o", str(archive), image)
    needle, tail, found = CANARY.encode(), b"", False
    with archive.open("rb") as file:  # layers are stored as they are, uncompressed
        while chunk := file.read(1 << 24):
            found |= needle in tail + chunk
            tail = chunk[-len(needle) :]
    with tarfile.open(archive) as layers:
        names = layers.getnames()
    assert not found
    assert any(name.endswith(".tar") for name in names)
    assert CANARY not in json.dumps(engine.inspect(image))


def test_no_secret_is_in_a_log_a_record_or_a_settings_dump(
    traded: tuple[Machine, dict[str, Any]], engine: Engine, image: str
) -> None:
    """A key that the exchange refuses, and one for AWS, are printed and stored nowhere."""
    machine, said = traded
    bot = Machine(engine.podman, image, machine.folder, list(RUN), dict(machine.environment))
    bot.environment |= {
        "TRADER_API_KEY": CANARY,
        "TRADER_API_SECRET": CANARY,
        "TRADER_VENUE": "testnet",
        "TRADER_TIMEOUT_S": "0.2",
    }
    bot.environment.pop("TRADER_VENUE_URL", None)
    spoken = ""
    for verb in (["tick"], ["status"], ["doctor"], ["journal"], ["health"]):
        done = subprocess.run(bot.command(*verb), capture_output=True, text=True, check=False, timeout=120)
        spoken += done.stdout + done.stderr
    dump = (
        "from trader.config import load_settings; s = load_settings(); print(s, repr(s), s.model_dump_json())"
    )
    bot.options += ["--entrypoint", "python"]
    spoken += run(*bot.command("-c", dump))
    assert "api_secret" in spoken
    assert CANARY not in spoken
    assert CANARY not in json.dumps(said)
    files = [file for file in machine.folder.rglob("*") if file.is_file()]
    assert len(files) > HOURS
    assert [str(file) for file in files if CANARY.encode() in file.read_bytes()] == []


def test_the_canary_was_there_to_be_found(context: Path) -> None:
    """The proof above can fail: the secrets lay in the build's context."""
    assert all(CANARY in (context / name).read_text() for name in STRAY)
    assert os.path.commonpath([context, context / STRAY[0]]) == str(context)
