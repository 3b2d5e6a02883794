"""Imported by the fork server: commands that keep their store in a bucket begin with botocore's files read."""

from __future__ import annotations

from tests.support.boto_files import read_ahead

read_ahead()
