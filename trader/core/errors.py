"""What can go wrong, named by who must act.

    TraderError
    ├── ConfigError     a person: a setting, a file or a parameter is wrong; nothing was done   (exit 2)
    │   ├── DataError   a person: bars, a model or a record do not hold what they must          (exit 2)
    │   │   └── OtherSymbol  a person: an object belongs to another symbol; nothing was done    (exit 2)
    │   └── WrongStore  a person: the store is another symbol's, or of an earlier version       (exit 2)
    ├── Uncertified     a person: a model failed its certificate; it does not trade             (exit 1)
    ├── Retry           the scheduler: the same call may go through later; nothing was lost     (exit 3)
    │   └── OrderInDoubt  the scheduler: an order's outcome is unknown, so nothing else is sent (exit 3)
    ├── UnequalExport   a person: an exported file does not say what its model says; no file    (exit 1)
    └── Halt            a person: trading has stopped and only `trader resume` starts it again  (exit 4)

Foreign exceptions (requests, python-binance, botocore, OSError) stop at the adapter that knows them and leave
it as one of these. Everything else is a bug and ends the process loudly (exit 1).
"""

from __future__ import annotations


class TraderError(Exception):
    """Base of every error this project raises on purpose. `exit_code` is the process's answer to its caller."""

    exit_code = 1


class ConfigError(TraderError):
    """A setting, an option or a parameter is wrong. The message says which, where, and the way out."""

    exit_code = 2


class DataError(ConfigError):
    """A file, a model or a journal object does not hold what it must. The message names file and row."""


class OtherSymbol(DataError):
    """An object of the store belongs to another symbol. Nothing is done with it, and nothing is written."""


class WrongStore(ConfigError):
    """The store belongs to another symbol, or an earlier version laid it out. Nothing is read from it or written to it."""


class Uncertified(TraderError):
    """A model failed its certificate, or has none where one is demanded. It serves no hour; the old model goes on."""


class Retry(TraderError):
    """A foreign system did not answer usefully; trying again later is right and safe. `until_ms` (UTC ms) is the time
    before which it forbade to try, None where it did not say."""

    exit_code = 3

    def __init__(self, message: str, until_ms: int | None = None) -> None:
        super().__init__(message)
        self.until_ms = until_ms


class OrderInDoubt(Retry):
    """An order's outcome is unknown. Nothing else may be sent for its symbol until it is known."""


class UnequalExport(TraderError):
    """An exported form of a model answers otherwise than the model. The message names the row and both answers."""


class Halt(TraderError):
    """Trading must stop until a person resumes it. `reason` is the short word that the runbook explains."""

    exit_code = 4

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
