"""infra/environment.sh, which fills every environment: uv does it, or pip where uv cannot. Packages are made here; no index
is asked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UV = '#!/bin/sh\necho "$@" >> "$UV_CALLS"\n[ "$1" = --version ] || exit {}\n'


def wheel(folder: Path, name: str, script: str | None = None) -> str:
    """A package of one module, and a program of its name if a script is given: its line in a lock."""
    info = f"{name}-1.0.dist-info"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", "")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        if script:
            program = zipfile.ZipInfo(f"{name}-1.0.data/scripts/{name}")
            program.external_attr = 0o100755 << 16
            file.writestr(program, script)
        file.writestr(f"{info}/RECORD", "")
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Checkout:
    """A folder with the script, a lock that names uv, and one that names a package."""

    def __init__(self, folder: Path, uv_exit: int) -> None:
        self.folder, self.calls = folder, folder / "calls"
        (folder / "infra").mkdir()
        (folder / "wheels").mkdir()
        self.calls.touch()
        shutil.copy(ROOT / "infra" / "environment.sh", folder / "infra")
        self.package = wheel(folder / "wheels", "thing")
        uv = wheel(folder / "wheels", "uv", UV.format(uv_exit))
        (folder / "requirements-runtime.lock").write_text(self.package + uv)
        (folder / "some.lock").write_text(self.package)

    def make(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Call the script for an environment `env`."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHON": sys.executable,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.folder / "wheels"),
            "UV_CALLS": str(self.calls),
        }
        words = ["infra/environment.sh", "env", "some.lock", *options]
        return subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def modules(self) -> set[str]:
        """What the environment holds."""
        return {path.stem for path in self.folder.glob("env/lib/python3*/site-packages/*.py")}


def test_uv_fills_an_environment(tmp_path: Path) -> None:
    """uv is installed by its line alone and told the lock, its hashes and the options; a second call asks it only once more."""
    checkout = Checkout(tmp_path, uv_exit=0)
    done = checkout.make("--compile-bytecode")
    assert done.returncode == 0, done.stderr
    assert checkout.modules() == {"uv"}
    (install,) = [line for line in checkout.calls.read_text().splitlines() if line != "--version"]
    expected = "--no-deps --require-hashes --python env/bin/python --compile-bytecode -r some.lock"
    assert install.endswith(expected)
    assert "installing 1 packages of some.lock" in done.stderr
    assert "a new environment" not in checkout.make().stderr


def test_pip_fills_it_where_uv_cannot(tmp_path: Path) -> None:
    """The same packages come by pip, which says nothing of the machine; its own words are shown where it fails too."""
    checkout = Checkout(tmp_path, uv_exit=1)
    done = checkout.make()
    assert done.returncode == 0, done.stderr
    assert checkout.modules() == {"uv", "thing"}
    assert "pip does, which takes some minutes" in done.stderr
    assert "WARNING" not in done.stderr
    (tmp_path / "some.lock").write_text(wheel(tmp_path, "other"))
    failed = checkout.make()
    assert failed.returncode == 1
    assert "No matching distribution found for other==1.0" in failed.stderr


def test_an_old_python_is_told_so(tmp_path: Path) -> None:
    """Before anything is made, with the way out."""
    old = tmp_path / "old"
    old.write_text(
        f"#!/bin/sh\n(echo 'import sys; sys.version_info = (3, 10)'; cat) | {sys.executable} \"$@\"\n"
    )
    old.chmod(0o755)
    done = subprocess.run(
        [ROOT / "infra" / "environment.sh", "env", "some.lock"],
        cwd=tmp_path,
        env={**os.environ, "PYTHON": str(old)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / "env").exists()
