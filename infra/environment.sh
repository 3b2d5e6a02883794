#!/bin/sh
# infra/environment.sh FOLDER LOCK [OPTION OF `uv pip install`]...: a virtual environment with what a hashed lock names, made by the
# interpreter $PYTHON. uv is installed by its own lines of requirements-runtime.lock and installs everything else in a tenth of
# pip's time; where uv cannot run, or cannot reach a package index that pip's configuration names, pip installs it all.
# Says each step; pip's remarks about the machine are shown only if pip fails.
set -eu
folder=$1 lock=$2
shift 2
python=${PYTHON:-python3}
here=$(dirname "$0")
pip_flags="install --quiet --no-deps --require-hashes --disable-pip-version-check"
export PIP_ROOT_USER_ACTION=ignore
[ -t 2 ] && uv_flags="" || uv_flags=--quiet # on a terminal uv shows what it downloads

say() { echo "$folder: $*" >&2; }

packages() { # how many a lock names at most, markers of other systems and versions included
    grep -c '^[a-zA-Z0-9].*==' "$lock"
}

pip() { # the pip of the environment, which may not have one yet
    "$folder/bin/python" -m pip --version >/dev/null 2>&1 || "$folder/bin/python" -m ensurepip >/dev/null
    # shellcheck disable=SC2086
    "$folder/bin/python" -m pip $pip_flags "$@"
}

get_uv() { # the interpreter's own pip does it at once; copying one into the environment first takes seconds
    awk '/^[^ ]/ { ours = /^uv==/ } ours' "$here/../requirements-runtime.lock" > "$folder/uv.lock"
    # shellcheck disable=SC2086
    "$python" -m pip --python "$folder/bin/python" $pip_flags -r "$folder/uv.lock" >"$folder/pip.log" 2>&1 \
        || pip -r "$folder/uv.lock" >"$folder/pip.log" 2>&1
}

"$python" - <<'CHECK'
import sys
if sys.version_info < (3, 11):
    sys.exit("hourly-trader needs Python 3.11 or newer; this is %s. Try: make PYTHON=python3.11 ..." % sys.version.split()[0])
CHECK
began=$(date +%s)
if ! "$folder/bin/uv" --version >/dev/null 2>&1; then
    say "a new environment, and uv to fill it (20 MB to download)"
    "$python" -m venv --without-pip "$folder"
    get_uv || say "uv cannot be installed here; pip goes on alone"
fi
say "installing $(packages) packages of $lock at most; a minute or so where the connection is good"
# shellcheck disable=SC2086
if ! "$folder/bin/uv" pip install $uv_flags --no-deps --require-hashes --python "$folder/bin/python" "$@" -r "$lock"; then
    say "uv could not do it; pip does, which takes some minutes"
    pip -r "$lock" >"$folder/pip.log" 2>&1 || { cat "$folder/pip.log" >&2; exit 1; }
fi
say "installed in $(($(date +%s) - began)) s, $(du -sm "$folder" | cut -f1) MB on disk"
