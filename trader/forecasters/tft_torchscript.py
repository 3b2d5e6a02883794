"""A Temporal Fusion Transformer as TorchScript, for programs that have nothing newer: PyTorch calls the form deprecated, and so
does the metadata. Such a file holds a pickle; it is written and proved here, and never read from a store."""

from __future__ import annotations

import io
import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from trader.core.exports import ExportFacts, facts_of, not_an_export
from trader.core.types import Matrix
from trader.forecasters.tft_head import Head, WindowPredictor, written
from trader.forecasters.tft_onnx import HEAD, example, head_in

if TYPE_CHECKING:
    from trader.forecasters.tft_network import Network

METADATA = "export.json"
LEGACY = "TorchScript is deprecated by PyTorch; prefer ONNX"


def torchscript_of(head: Head, network: Network, facts: ExportFacts) -> bytes:
    """The bytes of the file: the traced network, with its metadata as `export.json`."""
    import torch

    from trader.forecasters.tft_network import QuantilesAlone

    texts = {**facts.as_texts(), HEAD: written(head), "legacy": LEGACY}
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it is deprecated, which the metadata does
        traced = torch.jit.trace(QuantilesAlone(network).eval(), example(head), check_trace=False)
        torch.jit.save(traced, buffer, _extra_files={METADATA: json.dumps(texts, sort_keys=True)})
    return buffer.getvalue()


class TorchScriptPredictor(WindowPredictor):
    """A traced network."""

    def __init__(self, traced: Any, facts: ExportFacts, head: Head) -> None:
        super().__init__(head)
        self.traced, self.facts = traced, facts

    def raw(self, symbol: int, observed: Matrix, known: Matrix) -> Matrix:
        """See `WindowPredictor`."""
        import torch

        with torch.no_grad():
            found: Matrix = self.traced(
                torch.full((len(observed),), symbol),
                torch.from_numpy(np.ascontiguousarray(observed)),
                torch.from_numpy(np.ascontiguousarray(known)),
            ).numpy()
        return found


def traced_predictor(data: bytes, source: str) -> TorchScriptPredictor:
    """A predictor of bytes that this program wrote, on one thread. Raises DataError, naming `source`, for others."""
    import torch

    torch.set_num_threads(1)
    extra = {METADATA: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = torch.jit.load(io.BytesIO(data), map_location="cpu", _extra_files=extra)
        texts = json.loads(extra[METADATA])
    except (RuntimeError, ValueError, RecursionError) as error:
        raise not_an_export(source, " ".join(str(error).split())[:160]) from None
    return TorchScriptPredictor(traced, facts_of(texts, source), head_in(texts, source))
