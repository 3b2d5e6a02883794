"""How long a host forbade this machine to ask, kept in a file beside the collected bars: the next process of an hourly
schedule does not ask into a ban that the last one met."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from trader.adapters.binance_errors import LONGEST_BAN_S
from trader.plain_file import read_plain


@dataclass(frozen=True, slots=True)
class BanFile:
    """The end of each host's ban, UTC ms by this machine's clock. A help and no more: a file that cannot be read or
    written is as good as none."""

    path: Path
    host: str

    def until_ms(self, now_ms: int) -> int:
        """When the host may be asked again, 0 without a ban. An end beyond the longest ban there is is not believed."""
        until = self._read().get(self.host, 0)
        return until if now_ms < until <= now_ms + LONGEST_BAN_S * 1000 else 0

    def keep(self, until_ms: int) -> None:
        """Remember a ban, beside those of other hosts."""
        unfinished = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps({**self._read(), self.host: until_ms}))
            unfinished.replace(self.path)
        except OSError:
            return

    def _read(self) -> dict[str, int]:
        try:
            found = json.loads(read_plain(self.path))
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {host: until for host, until in found.items() if type(until) is int}
