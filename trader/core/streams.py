"""A stream of klines as the bot sees it: a bar that it calls closed, and whether the stream is alive."""

from __future__ import annotations

from dataclasses import dataclass

from trader.core.types import HOUR_MS

# Without a message for so long a stream is dead, whatever its connection says. Binance sends one every 2 s for a pair that
# trades, and nothing for one that does not: then a connection is opened anew in vain, which costs nothing.
SILENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class ClosedBar:
    """A stream says that the bar of this symbol with this close time (UTC ms, a full hour) is over."""

    symbol: str
    close_time: int


@dataclass(frozen=True, slots=True)
class StreamState:
    """What is known of a stream. address: its host. alive: connected, and not silent for SILENCE_S. last_message_ms: by this
    machine's clock, UTC ms, None before the first. connections: opened in all. messages, bad_messages: received in all. trouble:
    why the last connection ended, "" while there is none to tell."""

    address: str
    alive: bool = False
    last_message_ms: int | None = None
    connections: int = 0
    messages: int = 0
    bad_messages: int = 0
    trouble: str = ""

    @property
    def reconnections(self) -> int:
        """Connections after the first."""
        return max(0, self.connections - 1)

    def age_s(self, now_ms: int) -> float | None:
        """Seconds since the last message; None before the first."""
        return None if self.last_message_ms is None else max(0.0, (now_ms - self.last_message_ms) / 1000)

    def in_words(self, now_ms: int) -> str:
        """One sentence for a person. now_ms: this machine's clock, UTC ms."""
        age_s = self.age_s(now_ms)
        heard = "no message yet" if age_s is None else f"last message {age_s:,.0f} s ago"
        if self.alive and age_s is not None and age_s > SILENCE_S:
            return f"not known, {heard}: trader run has noted nothing since, and may have ended"
        if self.alive:
            return f"alive, {heard}, {self.reconnections:,} reconnections"
        return f"dead, {heard}{f' ({self.trouble})' if self.trouble else ''}; the schedule ticks without it"


def is_close_time(value: object) -> bool:
    """Whether a value is a full hour, UTC ms."""
    return type(value) is int and value > 0 and value % HOUR_MS == 0
