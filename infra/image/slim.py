"""Remove from a virtual environment what the running bot never opens. Run while the image is built.

    python3 slim.py /opt/bot

Every rule names a folder or files of one distribution and says why they may go; a rule that matches nothing ends
with an error, so the list cannot go stale. What is left is proven by trading hours in the image (infra/image/smoke.py).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

# Patterns below site-packages, and why nothing misses them.
RULES: dict[str, str] = {
    "**/*.pyx": "Cython sources",
    "**/*.pxi": "Cython sources",
    "**/*.pxd": "Cython headers",
    "**/*.pyi": "types for checkers",
    "Crypto/SelfTest": "tests",
    "numpy/**/tests": "tests",
    "numpy/**/*.a": "static libraries",
    "numpy/_core/include": "C headers",
    "pandas/tests": "tests",
    "plotly/labextension": "a notebook's widget",
    "plotly/package_data/widgetbundle.js": "the same",
    "pyarrow/include": "C++ headers",
    "pyarrow/src": "C++ sources",
    "pyarrow/tests": "tests",
    "pyarrow/_pyarrow_cpp_tests.*": "tests",
    "pyarrow/libarrow_flight.so*": "remote calls; loaded by pyarrow.flight only",
    "pyarrow/libarrow_python_flight.so*": "the same",
    "pyarrow/_flight.*": "the same",
    "pyarrow/_substrait.*": "query plans",
    "scipy/**/tests": "tests",
    "scipy/cluster": "no library here imports it",
    "scipy/fftpack": "the same",
    "scipy/io": "the same",
    "scipy/odr": "the same",
    "scipy/signal": "the same",
    "sqlalchemy/testing": "tests",
    "talib/*.c": "C sources",
}

# The services that boto3 may be asked for: the store's bucket, and who the caller is.
AWS_SERVICES = {"s3", "sts", "sso", "sso-oidc"}


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def single_copies(folder: Path) -> None:
    """Wheels cannot hold links, so a library lies there under three names; two become links to the third."""
    for library in sorted(folder.glob("*.so")):
        names = sorted(folder.glob(library.name + ".*"), key=lambda name: len(name.name))
        for other in [library, *names[:-1]]:
            if names and other.read_bytes() == names[-1].read_bytes():
                other.unlink()
                other.symlink_to(names[-1].name)


def slim(environment: Path) -> list[str]:
    """Remove everything the rules name below `environment`; the rules that matched nothing."""
    (site,) = environment.glob("lib/python3*/site-packages")
    idle = []
    for rule in RULES:
        found = sorted(site.glob(rule), key=lambda path: len(path.parts))
        if not found:
            idle.append(rule)
        for path in found:
            if path.exists() or path.is_symlink():
                remove(path)
    for service in (site / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in AWS_SERVICES:
            remove(service)
    single_copies(site / "pyarrow")
    return idle


def main() -> None:
    """Slim the environment that the command line names."""
    idle = slim(Path(sys.argv[1]))
    if idle:
        sys.exit(f"slim.py: no file matches {', '.join(idle)}; take these rules out, or mend them")


if __name__ == "__main__":
    main()
