"""`backtest gc`: what of a pipeline's folder no manifest names is removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtest.commands.options import AsJson
from trader import terminal
from trader.core.errors import DataError
from trader.core.text import plural

if TYPE_CHECKING:
    from backtest.pipeline.retention import Model, Removal
    from trader.core.ports import Store

File = Annotated[Path, typer.Argument(help="the pipeline's TOML file")]
Budget = Annotated[
    float | None,
    typer.Option(
        "--budget-gb",
        min=0,
        help="remove the oldest manifests too, until at most so many gigabytes are kept; default: no manifest goes",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be removed, and remove nothing")]
Stores = Annotated[
    list[str] | None,
    typer.Option(
        "--store",
        help="store of a bot, a folder or s3://bucket/prefix: what its models were made of stays; repeatable",
    ),
]
_MB, _PAGE = 1_000_000, 1_000


def gc(
    file: File,
    budget_gb: Budget = None,
    store: Stores = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Remove the outputs of a pipeline that no manifest names and that are not the newest of their stage. What a bot's model was
    made of, in a --store, always stays.

    Example: backtest gc pipeline.toml --budget-gb 5 --store store --dry-run
    """
    from backtest.pipeline.opened import Pipeline
    from backtest.pipeline.retention import GB, removal_of, removed

    folder = Pipeline.of(file).folder
    models = [it for place in store or () for it in models_in(place)]
    with folder.held():
        folder.mend()
        found = removal_of(folder, models, None if budget_gb is None else round(budget_gb * GB))
        if not dry_run:
            removed(folder, found)
    _tell(found, budget_gb, dry_run=dry_run, as_json=as_json)


def models_in(place: str) -> list[Model]:
    """Every model that a bot's store keeps. Raises DataError for a folder that is no store, or a card that cannot be read; Retry
    or ConfigError where a bucket cannot be read."""
    from backtest.pipeline.retention import Model

    store, found = _store(place), []
    for key in _keys(store):
        if key.endswith(("/card", "/card.json")):
            try:
                card = json.loads(store.get(key) or b"")
                found.append(Model(card["model_sha256"], card["params"]))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{place}/{key} is no card of a model ({error!r})") from None
    return found


def _store(place: str) -> Store:
    """A bucket is reached by the settings that a bot's store in S3 has."""
    if "://" not in place:
        from trader.adapters.store_local import LocalStore

        if not Path(place).is_dir():
            raise DataError(
                f"--store {place} is no folder; give the folder of a bot's store, or s3://bucket/prefix"
            )
        return LocalStore(Path(place))
    from trader.adapters.store_s3 import S3Store
    from trader.config import load_settings

    settings = load_settings(store=place)
    if settings.bucket is None:
        raise DataError(
            f"--store {place} is no store; give the folder of a bot's store, or s3://bucket/prefix"
        )
    bucket, prefix = settings.bucket
    return S3Store(
        bucket,
        prefix,
        region=settings.s3_region,
        endpoint_url=settings.s3_endpoint_url,
        timeout_s=settings.timeout_s,
    )


def _keys(store: Store) -> Iterator[str]:
    """All that lies below models/."""
    last = ""
    while page := store.list("models/", after=last, limit=_PAGE):
        yield from page
        last = page[-1]


def _tell(found: Removal, budget_gb: float | None, *, dry_run: bool, as_json: bool) -> None:
    from backtest.pipeline.retention import GB

    told = {
        "objects": len(found.objects),
        "bytes": sum(found.objects.values()),
        "manifests": [int(it.stem) for it in found.manifests],
        "kept_bytes": found.kept,
        "protected": list(found.protected),
        "dry_run": dry_run,
    }
    if as_json:
        terminal.emit(told)
        return
    verb = "Would remove" if dry_run else "Removed"
    gone = f"{verb} {plural(len(found.objects), 'output')} ({sum(found.objects.values()) / _MB:,.1f} MB)"
    more = f" and {plural(len(found.manifests), 'manifest')}" if found.manifests else ""
    guarded = (
        f" Manifests that made a bot's model: {', '.join(map(str, found.protected))}."
        if found.protected
        else ""
    )
    terminal.show(terminal.paragraph(f"{gone}{more}; {found.kept / _MB:,.1f} MB are kept.{guarded}"))
    if budget_gb is not None and found.kept > budget_gb * GB:
        terminal.say(
            f"more than {budget_gb:g} GB is kept: the newest run, what is in current/, and what a bot's models were made of stay"
        )
