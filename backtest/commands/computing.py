"""Where a verb of `backtest` computes: the options of the executors, the same for every verb that fits models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtest.commands.options import CORES, Workers
from backtest.executors.interrupts import interrupts_noted
from backtest.executors.registry import EXECUTORS, Setup, open_executor
from trader import terminal

if TYPE_CHECKING:
    from backtest.executors.protocol import Executor

Name = Annotated[
    str, typer.Option(help=f"where models are fitted: {', '.join(EXECUTORS)}; results do not depend on it")
]


@dataclass(frozen=True, slots=True)
class Computing:
    """What the command line says of the executor."""

    name: str
    setup: Setup

    @contextmanager
    def opened(self, folder: Path | None = None) -> Iterator[Executor]:
        """The executor, closed at the end. folder: what of it shall outlive this command. An interrupt is raised where
        nothing is half done. Raises ConfigError for a name that is not known."""
        setup = Setup(self.setup.workers, folder, self.setup.options)
        with interrupts_noted(), open_executor(self.name, setup, terminal.say) as executor:
            yield executor


def computed(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb with an argument `computing`: the options of the executors stand in its place."""
    own = inspect.signature(verb, eval_str=True).parameters
    shared = {it.name: it for it in _options()}
    options: list[inspect.Parameter] = []
    for it in own.values():
        options += shared.values() if it.name == "computing" else [_by_name(it) if options else it]

    @wraps(verb)
    def asked(*given: object, **values: Any) -> None:
        chosen = {name: values.pop(name) for name in shared}
        name, workers = chosen.pop("executor"), chosen.pop("workers")
        verb(*given, computing=Computing(name, Setup(workers, None, chosen)), **values)

    # What the command line reads a verb's options from.
    asked.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]  # inspect's own name for it
    asked.__annotations__ = {it.name: it.annotation for it in options}
    return asked


def _by_name(option: inspect.Parameter) -> inspect.Parameter:
    return option.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _options() -> list[inspect.Parameter]:
    """--executor, --workers, and what each executor reads besides."""
    found: list[tuple[str, Any, Any]] = [("executor", Name, "local"), ("workers", Workers, CORES)]
    for registered in EXECUTORS.values():
        for it in registered.options:
            kind = bool if it.kind is bool else it.kind | None
            default = False if it.kind is bool else None
            # One name: a second one, --no-..., would say nothing that its absence does not.
            option = typer.Option(f"--{it.name.replace('_', '-')}", help=it.help)
            found.append((it.name, Annotated[kind, option], default))
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, annotation, default in found
    ]
