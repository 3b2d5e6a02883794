"""`trader export`: a published model as a file that other programs run, proved before it is written."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader import terminal
from trader.commands.common import AsJson, BarsDir, StoreDir, Symbol, hour_clock
from trader.config import load_settings
from trader.core.errors import ConfigError
from trader.core.exports import FORMS, ExportForm
from trader.core.text import plural
from trader.core.types import HOUR_MS, floor_hour

if TYPE_CHECKING:
    from trader.app.exports import ProvedExport
    from trader.app.journal import Journal
    from trader.config import Settings

Model = Annotated[str, typer.Argument(help="champion, challenger, a model's id, or the beginning of it")]
Format = Annotated[
    ExportForm,
    typer.Option(
        "--format",
        metavar="|".join(FORMS),
        help="onnx for xgboost, lightgbm and tft; torchscript for tft only: legacy, deprecated by PyTorch",
    ),
]
Out = Annotated[Path, typer.Option(help="the file to write")]


def export(
    model: Model,
    out: Out,
    form: Format = "onnx",
    symbol: Symbol = None,
    store: StoreDir = None,
    bars: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a model as ONNX or TorchScript, after a proof that the file predicts what the model predicts.

    Trees are compared at every split, at its threshold, at both float32 neighbours and with NaN, and on the newest collected
    hours; a network on real and random windows. If one prediction differs, the command ends with exit 1 and writes no file. A
    proved ONNX file is also stored beside the model.
    Example: trader export champion --format onnx --out champion.onnx
    """
    from trader import wiring
    from trader.app.exports import export_model
    from trader.app.model_alias import card_named

    settings = load_settings(symbol=symbol, store=store, bars=bars)
    journal = wiring.make_journal(settings)
    card = card_named(journal, model, _hour(journal, settings))
    collected = wiring.ParquetBars(settings.bars).load(settings.symbol)
    _require_writable(out)
    found = export_model(journal, card, form, collected if len(collected) else None)
    _write(out, found.data)
    if as_json:
        terminal.emit(
            {
                "model_id": card.model_id,
                "out": str(out),
                "bytes": len(found.data),
                "stored": found.is_stored,
                **asdict(found.proof),
            }
        )
        return
    _show(card.model_id, out, found)


def _hour(journal: Journal, settings: Settings) -> int:
    """The hour after the newest that is closed, else that of the clock."""
    from trader.app.explain import newest_hour

    newest = newest_hour(journal)
    return floor_hour(hour_clock(settings).now_ms) if newest is None else newest + HOUR_MS


def _require_writable(out: Path) -> None:
    """Raises ConfigError for a place that cannot be written, before the work."""
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder; name a file in it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error.strerror}. Choose another folder") from None


def _write(out: Path, data: bytes) -> None:
    """Beside its place, then moved there whole. Raises ConfigError."""
    unfinished = out.with_name(out.name + ".tmp")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(out)
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error.strerror}. Choose another folder") from None


def _show(model_id: str, out: Path, found: ProvedExport) -> None:
    proof = found.proof
    rows = [
        ("file", f"{out} ({len(found.data):,} bytes), sha256 {proof.sha256[:16]}"),
        (
            "compared",
            f"{plural(proof.rows, 'row')}, {proof.real_rows:,} of them real, {proof.missing_rows:,} with NaN",
        ),
        ("P(up)", f"at most {proof.p_up_difference:.1e} apart; {proof.p_up_tolerance:g} is allowed"),
    ]
    if proof.trees:
        lost = f", {proof.unreachable_splits:,} of which no row reaches" if proof.unreachable_splits else ""
        rows.insert(
            1,
            (
                "trees",
                f"{proof.trees:,} with {proof.splits:,} splits at {proof.thresholds:,} thresholds{lost}",
            ),
        )
    if proof.quantile_tolerance:
        rows.append(
            (
                "quantiles",
                f"at most {proof.quantile_difference:.1e} apart; {proof.quantile_tolerance:g} is allowed",
            )
        )
    rows.append(("took", f"{proof.seconds:.1f} s"))
    terminal.show(f"{model_id} as {proof.form}, proved", terminal.labelled(rows))
