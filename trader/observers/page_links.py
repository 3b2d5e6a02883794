"""Pages in a bucket, and links that read them for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader.app.journal import Journal
from trader.core.errors import ConfigError
from trader.dashboard.page import LIBRARY, library_bytes
from trader.observers.pages import PAGE, page_of

if TYPE_CHECKING:
    from trader.adapters.store_s3 import S3Store
    from trader.config import Settings

LINK_UNITS = {"m": 60, "h": 3_600, "d": 86_400}
LONGEST_LINK_S = 7 * 86_400


def share(journal: Journal, settings: Settings, span: str, *, public: bool = False) -> str:
    """Put the page into the bucket and return a link that reads it for `span`, such as 12h. Raises ConfigError."""
    store, seconds = bucket_of(journal), seconds_of(span)
    library, page = f"pages/{LIBRARY}", f"pages/{journal.symbol}/{PAGE}"
    if store.get(library) is None:
        store.put(library, library_bytes())
    address = store.link(library, seconds, "text/javascript")
    store.put(page, page_of(journal, settings, public=public, library=address).encode())
    return store.link(page, seconds, "text/html; charset=utf-8")


def bucket_of(journal: Journal) -> S3Store:
    """The store where it is a bucket, without a look at tags. Raises ConfigError for a folder."""
    from trader.adapters.store_s3 import S3Store
    from trader.adapters.store_signed import SignedStore

    store = journal.store.inner if isinstance(journal.store, SignedStore) else journal.store
    if not isinstance(store, S3Store):
        raise ConfigError(
            "--link is for a store in a bucket; this one is a folder: leave it out, or --store s3://..."
        )
    return store


def seconds_of(span: str) -> int:
    """A span such as 30m, 12h or 7d, in seconds. Raises ConfigError."""
    number, unit = span[:-1], span[-1:]
    if (
        unit not in LINK_UNITS
        or not number.isdigit()
        or not 60 <= int(number) * LINK_UNITS[unit] <= LONGEST_LINK_S
    ):
        raise ConfigError(f"--link {span!r}: give a span such as 30m, 12h or 7d; a week is the longest")
    return int(number) * LINK_UNITS[unit]
