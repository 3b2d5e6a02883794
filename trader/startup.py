"""What both commands do before a verb."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from trader import terminal
from trader.core.errors import ConfigError

# Options that were renamed: the earlier spelling is read, and no help tells it.
EARLIER = {"--data": "--bars"}


def begin(verb: str | None, *, trains: bool) -> None:
    """What settings change for every verb: how lines are logged, which feature presets and which families of models are known.

    trains: the verb may fit a model, so a user's own presets are tried for look-ahead, and a user's own family by the contract of
    all families when it is first asked for. A name in the environment that no setting has and that resembles none is said; one
    that resembles a setting's is refused.
    """
    from trader.adapters.talib_features import register_shipped
    from trader.config import load_settings, strangers

    register_shipped()
    if verb == "config":
        return  # it tells every fault itself
    settings = load_settings()
    if settings.log_format == "json":
        terminal.log_as_json()
    for stranger in strangers():
        terminal.say(f"{stranger.in_words()}; it is ignored", "warning")
    if trains:
        from trader.adapters.checkpoints_folder import FolderCheckpoints
        from trader.core.long_training import keep_in

        keep_in(FolderCheckpoints(settings.checkpoints))
    if settings.features_module is not None:
        from trader.adapters import user_features

        user_features.load(settings.features_module, check=trains)
    if settings.model_module is not None:
        from trader import own_families

        own_families.load(settings.model_module, check=trains)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        terminal.show(f"hourly-trader {version('hourly-trader')}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", help="show the version and exit", is_eager=True, callback=_show_version),
]


class Verb(TyperCommand):
    """A verb that reads an option once: the second value would silently win over the first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As any command's. Raises ConfigError for two values of an option that takes one."""
        options = {spelled: it for it in self.params if isinstance(it, TyperOption) for spelled in it.opts}
        words = [_today(word, options) for word in args]
        _require_single(words, options, ctx.command_path)
        _require_text(words)
        return super().parse_args(ctx, words)


def _today(word: str, options: dict[str, TyperOption]) -> str:
    """A word of a command line with today's spelling of its option."""
    spelled, equals, value = word.partition("=")
    renamed = EARLIER.get(spelled, spelled)
    return f"{renamed}{equals}{value}" if spelled not in options and renamed in options else word


def _require_text(words: list[str]) -> None:
    """Raises ConfigError for what is no text, or holds characters that nobody sees: it would be stored, and shown for ever."""
    for word in words:
        if any(0xD800 <= ord(character) <= 0xDFFF for character in word):
            raise ConfigError(
                f"{word!a} is not UTF-8; set the terminal to UTF-8 (LANG=C.UTF-8), or write it without accents"
            )
        if any(ord(character) < ord(" ") or character == "\x7f" for character in word):
            raise ConfigError(f"{word!a} holds a control character; type it anew, on one line")


def _require_single(words: list[str], options: dict[str, TyperOption], verb: str) -> None:
    seen: dict[str | None, str] = {}
    rest = iter(words)
    for word in rest:
        if word == "--":
            return
        spelled, equals, value = word.partition("=")
        option = options.get(spelled)
        if option is None or option.is_flag or option.count:
            continue
        value = value if equals else next(rest, "")
        if not option.multiple and seen.setdefault(option.name, value) != value:
            raise ConfigError(
                f"{spelled} is given twice, as {seen[option.name]!r} and {value!r}; {verb} reads one: give it once"
            )


def one_value_each(app: typer.Typer) -> None:
    """Make a Verb of every command of an app and of the apps in it, with the paragraphs of its docstring as its help."""
    for command in app.registered_commands:
        command.cls = Verb
        paragraphs = (
            inspect.cleandoc(command.callback.__doc__ or "").split("\n\n") if command.callback else []
        )
        command.help = command.help or "\n\n".join(" ".join(it.split()) for it in paragraphs)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            one_value_each(group.typer_instance)


@dataclass(frozen=True, slots=True)
class Program:
    """A command line whose verbs are imported when they are asked for: all of them together take longer than a short verb does.

    verbs: `module:name` of a function, or of an app of further verbs, by the verb's name and in the order of the help. trains:
    those that fit models of a user's own features or family in this process. earlier_names: renamed ones, which no help tells.
    reads_schedule: those that parse the command lines of a schedule, in which any verb may stand. early: `module:name` of what
    a verb begins before it is imported, called with the words that follow it.
    """

    help: str
    verbs: Mapping[str, str]
    trains: tuple[str, ...]
    earlier_names: tuple[str, ...] = ()
    reads_schedule: tuple[str, ...] = ()
    early: Mapping[str, str] = field(default_factory=dict)

    def asked(self, words: Sequence[str]) -> typer.Typer:
        """The command line for these words: with the verb that they begin with alone, with all where they begin with none or with
        one that reads a schedule."""
        first = words[0] if words else ""
        if first == "--version":
            return self.app_of(())
        if first in self.early:
            _named(self.early[first])(words[1:])
        alone = first in self.verbs and first not in self.reads_schedule
        return self.app_of((first,) if alone else self.verbs)

    def app_of(self, names: Iterable[str]) -> typer.Typer:
        """The command line with these verbs."""
        app = typer.Typer(
            no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=self.help
        )

        @app.callback()
        def _root(context: typer.Context, version: Version = False) -> None:
            begin(context.invoked_subcommand, trains=context.invoked_subcommand in self.trains)

        for name in names:
            found = _named(self.verbs[name])
            if isinstance(found, typer.Typer):
                app.add_typer(found, name=name)
            else:
                app.command(name, hidden=name in self.earlier_names)(found)
        one_value_each(app)
        return app


def _named(reference: str) -> Any:
    """What `module:name` says, imported now."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
