"""What botocore reads of its own files is read once a process, and not again for each session.

A new session decodes two megabytes of JSON: a third of a second, in a test that opens a bot on a bucket for each step of an
hour most of its time. In production a process has one session.
"""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.loaders import JSONFileLoader

_read = JSONFileLoader.load_file
_known: dict[str, Any] = {}


def _read_once(self: JSONFileLoader, file_path: str) -> Any:
    if file_path not in _known:
        _known[file_path] = _read(self, file_path)
    return _known[file_path]


JSONFileLoader.load_file = _read_once  # type: ignore[method-assign]  # a session takes no loader of its own


def read_ahead() -> None:
    """Read what a client of S3 needs, for the processes that are forked from this one."""
    botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",  # opens nothing: no request is made
    )
