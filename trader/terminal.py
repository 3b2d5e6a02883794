"""What both commands show a person: errors with their exit code, progress, tables, JSON for machines.

Every text leaves through `show` or `say`, which let no control character through: much of it comes from a store or a server.
"""

from __future__ import annotations

import atexit
import errno
import gc
import io
import json
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from trader.core.errors import ConfigError, TraderError
from trader.core.text import visible
from trader.plain_file import read_text as read_text  # for whoever shows what a person wrote

EXIT_INTERRUPTED = 130
_INTERRUPTED = "interrupted; nothing that was written is lost, the same command goes on from there"
# A full or read-only disk, rights that lack, files that are too many: a person's, wherever it is met.
OF_THIS_MACHINE = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
    }
)
WIDTH = 80  # columns of every screen
LOG_LEVELS = {"info": 20, "warning": 30, "error": 40}
_log: Any = None


def run(app: Callable[[], object]) -> None:
    """Run a command line to its exit code: 0 done, 2 a person must mend something, 3 try again later, 4 halted,
    130 interrupted. Everything else is a bug: a traceback and 1."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.excepthook = _bug
    # When it ends Python looks through everything for garbage: a tenth of a short verb's time, for memory that is given back.
    atexit.register(gc.freeze)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # a terminal of another encoding lacks some characters
    try:
        with ctrl_c_heard():
            app()
    except TraderError as error:
        say(
            f"{type(error).__name__}: {error}", "error", error=type(error).__name__, exit_code=error.exit_code
        )
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        say(_INTERRUPTED)
        raise SystemExit(EXIT_INTERRUPTED) from None
    except SystemExit as ended:
        if _was_interrupted(ended):
            say(_INTERRUPTED)
        raise
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe has seen enough
        raise SystemExit(0) from None
    except MemoryError:
        say(
            "this machine has not enough memory for it; take fewer hours or workers, or a larger machine",
            "error",
        )
        raise SystemExit(ConfigError.exit_code) from None
    except OSError as error:
        if error.errno not in OF_THIS_MACHINE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        say(f"{where}{error.strerror}; nothing that was written before is lost", "error")
        raise SystemExit(ConfigError.exit_code) from None


def _was_interrupted(ended: SystemExit) -> bool:
    """Whether typer made an exit of an interrupt, of which nobody has said anything yet."""
    exit_ = ended.__context__
    return ended.code == EXIT_INTERRUPTED and isinstance(exit_ and exit_.__cause__, KeyboardInterrupt)


def _bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A traceback as Python writes it, its texts made visible."""
    told = "".join(traceback.format_exception(kind, error, trace))
    print(visible(told, lines=True), file=sys.stderr, end="", flush=True)


@contextmanager
def ctrl_c_heard() -> Iterator[None]:
    """Ctrl-C that comes while Python waits for a lock may leave it as "RuntimeError: release unlocked lock": here it goes on
    as the KeyboardInterrupt that it was."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def say(text: str, level: str = "info", **facts: Any) -> None:
    """A line on standard error (standard output belongs to results): `text` for a person, and where logs are JSON the
    facts beside it, with those that `about` bound."""
    if _log is None:
        print(visible(text), file=sys.stderr, flush=True)
    else:
        _log.log(LOG_LEVELS[level], text, **facts)


def log_as_json() -> None:
    """From now on every line of `say` is one JSON object: event, level, timestamp (UTC), and its facts."""
    global _log  # one process, one standard error
    import structlog

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    _log = structlog.get_logger()


def logs_json() -> bool:
    """True where lines are JSON, so that a fact is worth finding out."""
    return _log is not None


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """Facts, such as the hour, that stand in every JSON line said within."""
    if _log is None:
        yield
        return
    from structlog.contextvars import bound_contextvars

    with bound_contextvars(**facts):
        yield


def show(*texts: str, end: str = "\n", flush: bool = False) -> None:
    """A result for a person on standard output; texts of one call stand on lines of their own."""
    print(visible("\n".join(texts), lines=True), end=end, flush=flush)


def emit(value: Any) -> None:
    """A result for a machine: one line of JSON on standard output."""
    print(json.dumps(value), flush=True)


@contextmanager
def progress(label: str, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """A progress bar on a terminal, nothing elsewhere. Yields update(done, of, note="")."""
    if quiet or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None, note="")

        def update(done: int, of: int, note: str = "") -> None:
            bar.update(task, completed=done, total=of, note=note)

        yield update


def paragraph(text: str, indent: int = 0) -> str:
    """Prose broken into lines of at most WIDTH columns, those after the first set in by `indent` spaces. A word that is
    longer than a line, such as a path, stays whole."""
    return "\n".join(
        textwrap.wrap(
            visible(text),
            WIDTH,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def labelled(rows: Sequence[tuple[str, str]]) -> str:
    """Rows of a name and a text: the names in one column, a text that does not fit going on below itself, further to the left
    where a word, such as a hash, is too long for that."""
    width = max((len(visible(name)) for name, _ in rows), default=0) + 2

    def indent(text: str) -> int:
        return max(2, min(width, WIDTH - max(map(len, text.split()), default=0)))

    return "\n".join(paragraph(f"{name:<{width}}{text}".rstrip(), indent(text)) for name, text in rows)


def narrowed(
    head: tuple[str, ...], rows: Sequence[tuple[str, ...]], drop: Sequence[str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A table's head and rows without as many of the columns `drop`, in this order, as it takes to fit into WIDTH columns."""
    kept = list(range(len(head)))
    for name in drop:
        widths = [max(len(visible(line[i])) for line in (head, *rows)) for i in kept]
        if sum(widths) + 2 * (len(widths) - 1) <= WIDTH:
            break
        kept.remove(head.index(name))
    return tuple(head[i] for i in kept), [tuple(row[i] for i in kept) for row in rows]


def table(title: str, rows: Sequence[tuple[str, ...]], head: tuple[str, ...] = ()) -> str:
    """Aligned text, the same on a terminal, in a file and in the README: first column left, the others right."""
    lines = [tuple(map(visible, line)) for line in ([head, *rows] if head else rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    title = visible(title)
    text = [title, "-" * max(len(title), sum(widths) + 2 * (len(widths) - 1))] if title else []
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def percent(share: float | None, digits: int = 2) -> str:
    """A share as a signed percentage."""
    return "-" if share is None else f"{share * 100:+.{digits}f} %"


def minute(hour: str) -> str:
    """An hour's ISO text to the minute, as the commands take it: 2022-01-01T09:00Z."""
    return f"{hour[:16]}Z"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.2f} %"


def summary_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The summary of a run, in a person's words."""
    factor, held = summary["profit_factor"], summary["average_holding_hours"]
    return [
        ("hours", f"{summary['hours']:,}"),
        ("orders, fills", f"{summary['orders']:,}, {summary['fills']:,}"),
        ("net return, compounded", percent(summary["net_return"])),
        ("gross return, compounded, at zero cost", percent(summary["gross_return"])),
        ("buy and hold, compounded, net", percent(summary["buy_and_hold"])),
        ("fees", f"{float(summary['fees_usdt']):,.2f} USDT"),
        ("largest drawdown", f"{summary['max_drawdown'] * 100:.2f} %"),
        ("Sharpe ratio, a year", f"{summary['sharpe']:.2f}"),
        ("hit rate", _share(summary["hit_rate"])),
        ("trades, closed", f"{summary['trades']:,}"),
        ("win rate of trades", _share(summary["win_rate"])),
        ("profit factor", "-" if factor is None else f"{factor:,.2f}"),
        ("average holding time", "-" if held is None else f"{held:,.1f} h"),
        ("final equity", f"{float(summary['final_equity_usdt']):,.2f} USDT"),
        ("halted", minute(summary["halted_at"]) if summary["halted_at"] else "no"),
    ]


def write_lines(path: Path, lines: Iterator[str]) -> None:
    """A text file, a line each, written beside its place and moved there whole. Raises ConfigError."""
    unfinished = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)
        unfinished.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror or error}. Choose another folder"
        ) from None
