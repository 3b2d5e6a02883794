"""Bars in a bucket: the objects beneath `s3://bucket/prefix`, or one object. Only reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from trader.adapters.source_files import SUFFIXES, BarObject, FilePlace, by_symbol
from trader.adapters.store_s3 import PAGE, S3Store
from trader.core.errors import ConfigError, Retry

# A prefix with more objects is no folder of bars.
MOST_OBJECTS = 20_000


@dataclass(frozen=True, slots=True)
class S3Access:
    """How a bucket is reached, as the store's is. region, endpoint_url: None for AWS's own settings, which keys come from too."""

    region: str | None = None
    endpoint_url: str | None = None
    timeout_s: float = 15.0


class BarBucket(S3Store):
    """The objects of a bucket that hold bars, by their whole names."""

    subject = "bars"

    def __init__(self, bucket: str, access: S3Access) -> None:
        super().__init__(
            bucket, region=access.region, endpoint_url=access.endpoint_url, timeout_s=access.timeout_s
        )

    def fetch(self, name: str) -> bytes:
        """An object's bytes. Raises Retry for one that was listed and is gone, ConfigError for what a person must mend."""
        data: bytes | None = self._steadily("get", name, lambda: self._read(name))
        if data is None:
            raise Retry(
                f"s3://{self.bucket}/{name} vanished while it was read; try again, or check who replaces it"
            )
        return data

    def listed(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Name and version of each object whose name begins with `prefix`. Raises ConfigError where there are too many."""
        after, count = "", 0
        while True:
            asked: dict[str, Any] = {"Bucket": self.bucket, "Prefix": prefix, "MaxKeys": PAGE}
            if after:
                asked["StartAfter"] = after
            page = self._steadily("list", prefix, partial(self.client.list_objects_v2, **asked))
            found = page.get("Contents", [])
            count += len(found)
            if count > MOST_OBJECTS:
                raise ConfigError(
                    f"s3://{self.bucket}/{prefix} has over {MOST_OBJECTS:,} objects; give the prefix of the bars alone"
                )
            for it in found:
                yield it["Key"], f"{it['ETag']} {it['Size']}"
            if not page.get("IsTruncated") or not found:
                return
            after = found[-1]["Key"]


@dataclass
class BucketPlace:
    """`s3://bucket/prefix`, whose objects are files of bars, or one such file by its whole name."""

    text: str
    access: Callable[[], S3Access]

    @cached_property
    def _bucket(self) -> BarBucket:
        return BarBucket(self._parts[0], self.access())

    @property
    def _parts(self) -> tuple[str, str]:
        bucket, _, prefix = self.text.partition("://")[2].partition("/")
        if not bucket:
            raise ConfigError(
                f"{self.text} names no bucket; write s3://bucket/prefix or s3://bucket/BTCUSDT-1h.parquet"
            )
        return bucket, prefix

    @property
    def is_file(self) -> bool:
        """Whether it names one file."""
        return self._parts[1].endswith(SUFFIXES)

    def file(self) -> BarObject:
        """The one file that it names. Raises ConfigError where there is none."""
        bucket, name = self._parts
        found = [version for key, version in self._bucket.listed(name) if key == name]
        if not found:
            raise ConfigError(f"s3://{bucket}/{name}: there is no such object; check the address of the bars")
        return self._object(name, found[0], archived=False)

    def places(self) -> dict[str, FilePlace]:
        """The bars beneath the prefix, by symbol. Raises ConfigError where there are none."""
        bucket, prefix = self._parts
        beneath = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        objects = [self._object(key, version, archived=True) for key, version in self._bucket.listed(beneath)]
        if found := by_symbol(objects):
            return found
        raise ConfigError(
            f"s3://{bucket}/{beneath}: holds no file of bars; they are named like BTCUSDT-1h.parquet"
        )

    def _object(self, key: str, version: str, *, archived: bool) -> BarObject:
        said = f"s3://{self._parts[0]}/{key}"
        return BarObject(
            key.rpartition("/")[2], said, partial(self._bucket.fetch, key), lambda: version, archived=archived
        )
