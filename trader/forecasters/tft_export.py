"""How the forms of a Temporal Fusion Transformer are written, read and proved."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from trader.core.errors import UnequalExport
from trader.core.exports import TOLERANCE, ExportFacts, ExportForm, ExportProof, ProofScene
from trader.core.forecast import LEVELS
from trader.core.types import Ints, iso
from trader.forecasters.tft_head import Head, WindowPredictor
from trader.forecasters.tft_onnx import OnnxWindowPredictor, onnx_of, window_predictor
from trader.forecasters.tft_torchscript import TorchScriptPredictor, torchscript_of, traced_predictor
from trader.forecasters.tft_windows import KNOWN, LARGEST, OBSERVED, Windows

# Both forms compute in float32, and each is off the exact quantiles by its own roundings: in proportion to the largest of them
# (ADR 34). So quantiles are compared in units of the largest of their window, or of LEAST_QUANTILE units of the window.
LEAST_QUANTILE = 3.0
DRAWN_WINDOWS = 200


class ExportsNetwork(ABC):
    """The family's forms: see `trader.core.ports.Exportable`."""

    export_forms: tuple[ExportForm, ...] = ("onnx", "torchscript")

    @abstractmethod
    def load(self, model: bytes, source: str) -> Any:
        """As a forecaster does: a WindowPredictor with its `network`."""

    def export(self, model: bytes, form: ExportForm, facts: ExportFacts) -> bytes:
        """A model's bytes in a form. Equal bytes for equal versions of torch."""
        native = self.load(model, facts.model_id)
        write = onnx_of if form == "onnx" else torchscript_of
        return write(native.head, native.network, facts)

    def load_exported(
        self, data: bytes, form: ExportForm, source: str
    ) -> OnnxWindowPredictor | TorchScriptPredictor:
        """A predictor from such bytes, on one thread."""
        return window_predictor(data, source) if form == "onnx" else traced_predictor(data, source)

    def prove(
        self, model: bytes, data: bytes, form: ExportForm, facts: ExportFacts, scene: ProofScene
    ) -> ExportProof:
        """The windows of the scene's hours, and drawn ones of every symbol: one at a time, and drawn ones all at once too."""
        began = time.perf_counter()
        native: WindowPredictor = self.load(model, facts.model_id)
        exported = self.load_exported(data, form, "the exported file")
        _require_head(native.head, exported.head, facts, exported.facts)
        comparison = _Comparison(native, exported, facts)
        place = native.head.symbols.index(scene.panel.symbols[0])
        comparison.of(place, native.windows(scene.panel, scene.hours), scene.hours)
        count = max(1, DRAWN_WINDOWS // len(native.head.symbols))
        for symbol in range(len(native.head.symbols)):
            windows = drawn_windows(native.head, count, symbol)
            comparison.of(symbol, windows)
            comparison.of_batch(symbol, windows)
        return ExportProof(
            form,
            hashlib.sha256(data).hexdigest(),
            comparison.windows,
            len(scene.hours) if scene.is_real else 0,
            comparison.without_answer,
            comparison.p_up,
            TOLERANCE,
            round(time.perf_counter() - began, 3),
            quantile_difference=comparison.quantile,
            quantile_tolerance=TOLERANCE,
        )


def drawn_windows(head: Head, count: int, seed: int) -> Windows:
    """Windows within what the network can be given, and at its bounds: a third normal, a third wide, a third clipped."""
    rng = np.random.default_rng(20 + seed)
    width = np.choose(np.arange(count) % 3, (1.0, 4.0, 100.0))[:, None, None]
    hours = head.encoder_hours + head.forecast_hours
    observed = rng.normal(size=(count, head.encoder_hours, len(OBSERVED))) * width
    known = rng.uniform(-1, 1, size=(count, hours, len(KNOWN)))
    clipped = np.clip(observed, -LARGEST, LARGEST).astype(np.float32)
    return Windows(clipped, known.astype(np.float32), rng.uniform(1e-4, 5e-2, count))


def _require_head(ours: Head, theirs: Head, facts: ExportFacts, said: ExportFacts) -> None:
    """Raises UnequalExport for a file that says other things of itself than the model and its card."""
    for what, wanted, found in (("its head", ours, theirs), ("its metadata", facts, said)):
        if wanted != found:
            raise UnequalExport(f"{facts.model_id}: {what} says {found}, not {wanted}. Nothing was written")


@dataclass(slots=True)
class _Comparison:
    """The network and its exported form, asked the same windows; how far they were apart so far."""

    native: WindowPredictor
    exported: WindowPredictor
    facts: ExportFacts
    windows: int = 0
    without_answer: int = 0
    p_up: float = 0.0
    quantile: float = 0.0

    def of(self, symbol: int, windows: Windows, hours: Ints | None = None) -> None:
        """One window at a time, as the bot asks. hours: (m,) UTC ms of real ones."""
        ours, theirs = (it.forecast_of(symbol, windows) for it in (self.native, self.exported))
        if ours.quantiles is None or theirs.quantiles is None:
            raise TypeError("a network gives quantiles")
        steps = np.sqrt(np.arange(1, self.native.head.forecast_hours + 1))
        unit = np.where(windows.scale > 0, windows.scale, 1.0)[:, None, None] * steps[None, :, None]
        self._quantiles(ours.quantiles / unit, theirs.quantiles / unit, hours)
        apart = self._apart(ours.p_up.astype(np.float64), theirs.p_up.astype(np.float64))
        if not (apart <= TOLERANCE).all():
            i = int(np.argmax(~(apart <= TOLERANCE)))
            self._refuse(_window(i, hours), "P(up)", ours.p_up[i], theirs.p_up[i], TOLERANCE)
        self.p_up = max(self.p_up, float(apart.max(initial=0.0)))
        self.windows += len(windows.scale)
        self.without_answer += int(np.isnan(ours.p_up).sum())

    def of_batch(self, symbol: int, windows: Windows) -> None:
        """All windows at once by the exported form, against each alone by the network."""
        one = [slice(i, i + 1) for i in range(len(windows.scale))]
        ours = np.concatenate([self.native.raw(symbol, windows.observed[i], windows.known[i]) for i in one])
        self._quantiles(ours, self.exported.raw(symbol, windows.observed, windows.known), None)

    def _quantiles(self, ours: Any, theirs: Any, hours: Ints | None) -> None:
        """Quantiles (m, ahead, level) in units of each window, relative to the largest of the window."""
        largest = np.abs(ours).max(axis=(1, 2), keepdims=True, initial=LEAST_QUANTILE, where=~np.isnan(ours))
        apart = self._apart(ours, theirs) / largest
        if not (apart <= TOLERANCE).all():
            at = np.unravel_index(int(np.argmax(~(apart <= TOLERANCE))), apart.shape)
            what = f"quantile {LEVELS[at[2]]:g} of hour {at[1] + 1}, in units of the window,"
            allowed = TOLERANCE * float(largest[at[0], 0, 0])
            self._refuse(_window(int(at[0]), hours), what, ours[at], theirs[at], allowed)
        self.quantile = max(self.quantile, float(apart.max(initial=0.0)))

    def _apart(self, ours: Any, theirs: Any) -> Any:
        """0 where both say nothing."""
        return np.where(np.isnan(ours) & np.isnan(theirs), 0.0, np.abs(ours - theirs))

    def _refuse(self, where: str, what: str, ours: float, theirs: float, tolerance: float) -> None:
        raise UnequalExport(
            f"{self.facts.model_id}: at {where} the model says {what} {ours:.9g} and the exported file {theirs:.9g}, more than "
            f"{tolerance:g} apart. Nothing was written"
        )


def _window(i: int, hours: Ints | None) -> str:
    return f"drawn window {i}" if hours is None else f"the hour {iso(int(hours[i]))}"
