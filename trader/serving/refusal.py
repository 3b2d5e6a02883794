"""A request that is not answered, and why: the HTTP status, a sentence for the caller, and when to ask again."""

from __future__ import annotations

from trader.core.errors import ConfigError, Retry, TraderError

# After so many seconds a request that was shed, or whose bar is not there yet, may be sent again.
RETRY_AFTER_S = 1


class Refused(Exception):
    """No answer. `status` is the HTTP status; `retry_after_s` the least wait before the same request may go through, 0 where
    waiting alone changes nothing."""

    def __init__(self, status: int, message: str, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after_s = retry_after_s


def refusal_of(error: TraderError, asked_status: int = 503) -> Refused:
    """What an error of the house is over HTTP. asked_status: 422 where the caller's own bars are at fault, 503 where the
    store, the source or a model of this server is."""
    if isinstance(error, Retry):
        return Refused(503, str(error), RETRY_AFTER_S)
    if isinstance(error, ConfigError):
        return Refused(asked_status, str(error))
    return Refused(503, str(error))
