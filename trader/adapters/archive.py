"""The exchange's public archive: one zip of klines per month and per day, kept in a folder once their digest is proven.

<base>/data/spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2023-12.zip        and the same + .CHECKSUM
<base>/data/spot/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01-05.zip       and the same + .CHECKSUM
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trader.adapters.binance_outages import outage_of
from trader.core.bars import Gap, merge
from trader.core.errors import ConfigError, DataError, Retry
from trader.core.ports import Clock
from trader.core.types import DAY_MS, HOUR_MS, Bars, Ints, iso

if TYPE_CHECKING:
    import requests

ReadFile = Callable[[Path, str], Bars]

PUBLIC_ARCHIVE = "https://data.binance.vision"
# Worth another try: overload, and what proxies answer for a host that is restarting. Any other answer is final.
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
# A month's file appears on the first Monday of the next month, so only the last two months can lack theirs.
_MONTHS_WITHOUT_FILE = 2
_MISSING = 404


@dataclass(frozen=True, slots=True)
class _Period:
    """A file of the archive. start, stop: the open times it covers, UTC milliseconds, stop excluded."""

    kind: str
    label: str
    start: int
    stop: int


class Archive:
    """Downloads, verifies and joins the archive's hourly files.

    base_url: http(s) address above `/data`. cache: folder for the files; one that is there with a proven digest is not
    fetched again (remove it to get a newer publication). read: reads one zip for a symbol. timeout_s: per connection and
    per silence while reading. attempts: tries per file on connection errors and passing answers (waits of 1, 2, 4... s
    between them). progress: called with the name of each file that is at hand.
    """

    def __init__(
        self,
        base_url: str,
        cache: Path,
        read: ReadFile,
        clock: Clock,
        *,
        timeout_s: float = 15.0,
        attempts: int = 4,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        if not re.match(r"https?://[^/]", base_url):
            raise ConfigError(
                f"{base_url!r} is not the address of an archive; write one like {PUBLIC_ARCHIVE}"
            )
        self._base_url = base_url.rstrip("/")
        self._cache = Path(cache)
        self._read = read
        self._clock = clock
        self._timeout_s = timeout_s
        self._attempts = max(1, attempts)
        self._progress = progress or (lambda _: None)

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """Bars with start <= close_time < stop (UTC ms) that the archive has, gaps filled and flagged: fewer at the
        beginning if the symbol is younger, fewer at the end for days not yet published.

        Months first; where a month has no file yet, or a hole that no known outage explains, its days. A month's row is
        never replaced by a day's. Safe to repeat: what was fetched stays.
        Raises Retry if the archive does not answer, DataError for a wrong digest, a broken file or no bars at all,
        ConfigError for a folder that cannot be written or an address that redirects or refuses.
        """
        if not re.fullmatch(r"[A-Z0-9]{2,30}", symbol):
            raise ConfigError(f"{symbol!r} is not a symbol of the exchange; write it like BTCUSDT")
        with _session() as session:
            fetch = _Fetch(self, session, symbol)
            opens = self._parts(fetch, start - HOUR_MS, min(stop - HOUR_MS, self._clock.now_ms()))
            parts = [part for part in opens if len(part)]
        bars = reduce(merge, parts).span(start, stop) if parts else None
        if bars is None or not len(bars):
            raise DataError(
                f"{self._base_url}: has no hourly bars of {symbol} that close from {iso(start)} to {iso(stop)}; check the "
                "symbol and the dates (a day appears on the next one)"
            )
        return bars

    def _parts(self, fetch: _Fetch, start: int, stop: int) -> Iterator[Bars]:
        """The bars of each month, oldest first; start and stop are open times."""
        months = list(_months(start, stop))
        whole = [fetch(month) for month in months]
        present = [row for row, bars in enumerate(whole) if bars is not None]
        # Months before the first file are before the symbol's listing: asking for their days would be in vain.
        first = present[0] if present else len(months) - _MONTHS_WITHOUT_FILE
        for row, (month, bars) in enumerate(zip(months, whole, strict=True)):
            if row < first:
                continue
            begin = max(month.start, start)
            if row == first and bars is not None and bars.first - HOUR_MS > begin:
                before = next(_months(month.start - 1, month.start))
                if row or fetch(before) is None:
                    begin = bars.first - HOUR_MS  # the symbol was listed here
            days = _days_to_patch(fetch.symbol, bars, begin, min(month.stop, stop))
            yield from _patched(bars, [day for period in days if (day := fetch(period)) is not None])


class _Fetch:
    """Files of one symbol, through one connection."""

    def __init__(self, archive: Archive, session: requests.Session, symbol: str) -> None:
        self.symbol = symbol
        self._archive = archive
        self._session = session

    def __call__(self, period: _Period) -> Bars | None:
        """The bars of one file, or None where the archive has no such file."""
        archive = self._archive
        name = f"{self.symbol}-1h-{period.label}.zip"
        path = archive._cache / self.symbol / name
        if not _is_proven(path) and not self._download(period, path):
            return None
        archive._progress(name)
        return archive._read(path, self.symbol)

    def _download(self, period: _Period, path: Path) -> bool:
        url = f"{self._archive._base_url}/data/spot/{period.kind}/klines/{self.symbol}/1h/{path.name}"
        data = self._get(url)
        if data is None:
            return False
        checksum = self._get(f"{url}.CHECKSUM")
        words = (checksum or b"").decode("ascii", "replace").split()
        if not words or not re.fullmatch(r"[0-9a-fA-F]{64}", words[0]):
            raise DataError(
                f"{url}.CHECKSUM: is missing or holds no sha256; try again when it has been published"
            )
        expected, actual = words[0].lower(), hashlib.sha256(data).hexdigest()
        if actual != expected:
            aside = path.with_name(f"{path.name}.bad")
            _write(aside, data)
            raise DataError(
                f"{url}: its sha256 is {actual} but its CHECKSUM says {expected}; it was kept as {aside} and not used. Try "
                "again later (files are published anew at times), or ask for dates without this file"
            )
        _write(path, data)
        _write(_checksum_of(path), f"{expected}  {path.name}\n".encode())
        return True

    def _get(self, url: str) -> bytes | None:
        """The body, or None for 404. Tries again where that may help; each request is a plain read."""
        import requests

        archive = self._archive
        problem = ""
        for attempt in range(archive._attempts):
            if attempt:
                archive._clock.sleep(2.0 ** (attempt - 1))
            try:
                reply = self._session.get(url, timeout=archive._timeout_s, allow_redirects=False)
            except requests.exceptions.InvalidURL as error:
                raise ConfigError(
                    f"{url}: is not an address: {error}; correct the archive's base URL"
                ) from None
            except requests.RequestException as error:
                problem = type(error).__name__
                continue
            if reply.status_code == requests.codes.ok:
                return reply.content
            if reply.status_code == _MISSING:
                return None
            problem = f"HTTP {reply.status_code}"
            if reply.status_code not in _PASSING_STATUS:
                raise ConfigError(
                    f"{url}: {problem} instead of the file; redirects and refusals are final, so check the archive's base "
                    "URL"
                )
        raise Retry(
            f"{url}: {problem} in {archive._attempts} tries; what was fetched before is kept, try again later"
        )


@contextmanager
def _session() -> Iterator[requests.Session]:
    import requests

    with requests.Session() as session:
        session.trust_env = False  # neither proxies nor passwords from the environment
        yield session


def _months(start: int, stop: int) -> Iterator[_Period]:
    """The months that hold open times from `start` to `stop`, excluded."""
    moment = datetime.fromtimestamp(start / 1000, UTC).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    while (begin := round(moment.timestamp() * 1000)) < stop:
        moment = (moment + timedelta(days=32)).replace(day=1)
        yield _Period("monthly", iso(begin)[:7], begin, round(moment.timestamp() * 1000))


def _days_to_patch(symbol: str, bars: Bars | None, start: int, stop: int) -> list[_Period]:
    """The days between open times `start` and `stop` with an hour that the month's bars lack, known outages apart."""
    hours: Ints = np.arange(start - start % HOUR_MS, stop, HOUR_MS, dtype=np.int64)
    if bars is not None:
        genuine = bars.close_time[~bars.flagged] - HOUR_MS
        hours = np.setdiff1d(hours, genuine)
        listed = [outage_of(Gap(symbol, int(hour) + HOUR_MS, 1)) is not None for hour in hours]
        hours = hours[~np.array(listed, dtype=np.bool_)]
    days = np.unique(hours - hours % DAY_MS)
    return [_Period("daily", iso(int(day))[:10], int(day), int(day) + DAY_MS) for day in days]


def _patched(month: Bars | None, days: list[Bars]) -> Iterator[Bars]:
    """The month, then the rows of its days that it lacks."""
    if month is None:
        yield from days
        return
    yield month
    for day in days:
        # A row that the month has counts as flagged here, so that merging keeps the month's.
        known = np.array([month.has(int(time)) for time in day.close_time], dtype=np.bool_)
        yield replace(day, flagged=day.flagged | known)


def _checksum_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.CHECKSUM")


def _is_proven(path: Path) -> bool:
    """True where the folder holds the file and the digest it was proven against, and they still agree."""
    try:
        expected = _checksum_of(path).read_text("ascii").split()[:1]
        return [hashlib.sha256(path.read_bytes()).hexdigest()] == expected
    except (FileNotFoundError, UnicodeDecodeError):
        return False
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; choose another cache folder") from None


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: a torn file would only be fetched again, but a reader must never see one."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror}; choose a cache folder that you may write to, with free space"
        ) from None
