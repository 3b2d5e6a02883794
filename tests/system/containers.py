"""Images built and run without a daemon: a Debian base by debootstrap, buildah, podman with runc."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Between runs the base and unchanged layers are kept: a second build takes seconds.
CACHE = Path.home() / ".cache" / "hourly-trader" / "containers"
BASE = "localhost/python311:bookworm"
INCLUDED = "ca-certificates,python3,python3-venv"
CANARY = "canary-9f1c2b7e-do-not-ship"
STRAY = (".env", "trader.toml", "trader/secrets.pem.env", "infra/ecs/keys.json", "state/key", "P.json")
# What podman needs where there is neither systemd nor cgroups of its own.
RUN = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--no-healthcheck")


def run(*command: str, **options: Any) -> str:
    """Run a command to its end; its standard output. Fails with everything it said."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=900, **options
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def mirror() -> str:
    """Where this machine gets its Debian packages."""
    lists = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for file in lists:
        text = file.read_text() if file.is_file() else ""
        for line in text.splitlines():
            found = re.match(r"(?:URIs:|deb)\s+(?:\[[^]]*\]\s+)?(https?://\S+)", line)
            if found:
                return found[1]
    raise AssertionError("no http address in /etc/apt/sources.list")


@dataclass(frozen=True, slots=True)
class Engine:
    """buildah and podman over one storage folder."""

    folder: Path

    @property
    def storage(self) -> list[str]:
        """Global options of both."""
        return ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]

    @property
    def podman(self) -> list[str]:
        """The engine and its global options."""
        here = ["--tmpdir", str(self.folder / "tmp"), *self.storage]
        return ["podman", *here, "--cgroup-manager", "cgroupfs", "--runtime", "runc"]

    def has(self, image: str) -> bool:
        """Whether an image is there."""
        return subprocess.run([*self.podman, "image", "exists", image], check=False).returncode == 0

    def make_base(self) -> None:
        """Debian 12 with its Python 3.11, once a machine."""
        if self.has(BASE):
            return
        tree = self.folder / "base"
        shutil.rmtree(tree, ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={INCLUDED}", "bookworm", str(tree), mirror())
        with subprocess.Popen(["tar", "-C", str(tree), "-c", "."], stdout=subprocess.PIPE) as packed:
            run(*self.podman, "import", "-", BASE, stdin=packed.stdout)
        shutil.rmtree(tree)

    def build(self, context: Path, tag: str, trackers: str) -> None:
        """The Dockerfile, as it is, over the base. Certificates of this machine are mounted, not copied."""
        pip = self.folder / "pip.conf"
        pip.write_text("[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n")
        mounts = ["-v", "/etc/ssl/certs:/etc/ssl/certs:ro", "-v", f"{pip}:/etc/pip.conf:ro"]
        arguments = ["--build-arg", f"BASE={BASE}", "--build-arg", f"TRACKERS={trackers}"]
        how = ["bud", "--layers", "--isolation", "chroot", "--format", "docker", "--pull-never"]
        run("buildah", *self.storage, *how, *mounts, *arguments, "-t", tag, str(context))

    def inspect(self, image: str) -> dict[str, Any]:
        """What the image says of itself."""
        (said,) = json.loads(run(*self.podman, "image", "inspect", image))
        assert isinstance(said, dict)
        return said


def clean_context(folder: Path) -> Path:
    """The files that git knows or would take, and stray secrets among them."""
    files = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
    for name in files:
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in STRAY:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"TRADER_API_SECRET={CANARY}\n")
    return folder


def engine() -> Iterator[Engine]:
    """An engine with a base."""
    CACHE.mkdir(parents=True, exist_ok=True)
    made = Engine(CACHE)
    made.make_base()
    yield made
