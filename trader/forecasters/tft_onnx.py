"""A Temporal Fusion Transformer as ONNX: written by torch's own exporter, read by onnxruntime without torch.

Inputs `symbol` (n,) int64, `observed` and `known` float32, as `tft_windows` makes them; output `quantiles` (n, ahead, level) in
units of each window's scale. Traced for windows of the model's own lengths, for any number of them at once.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from trader.core.exports import ExportFacts, not_an_export
from trader.core.forecast import LEVELS
from trader.core.types import Matrix
from trader.forecasters.onnx_runtime import facts_in, require_library, session_of
from trader.forecasters.refusal import InvalidModel
from trader.forecasters.tft_head import Head, WindowPredictor, read_head, written
from trader.forecasters.tft_windows import KNOWN, OBSERVED

if TYPE_CHECKING:
    from trader.forecasters.tft_network import Network

INPUTS, OUTPUT = ("symbol", "observed", "known"), "quantiles"
HEAD = "head"
OPSET = 17


def onnx_of(head: Head, network: Network, facts: ExportFacts) -> bytes:
    """The bytes of the file. Raises ConfigError where onnx is not installed."""
    require_library("onnx", "export")
    import onnx
    import torch

    from trader.forecasters.tft_network import QuantilesAlone

    buffer = io.BytesIO()
    axes = {name: {0: "rows"} for name in (*INPUTS, OUTPUT)}
    # The exporter that does not trace cannot write loops over variables; this one says that it is older.
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            QuantilesAlone(network).eval(),
            example(head),
            buffer,
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.helper.set_model_props(model, dict(sorted({**facts.as_texts(), HEAD: written(head)}.items())))
    return bytes(model.SerializeToString(deterministic=True))


def example(head: Head) -> tuple[Any, Any, Any]:
    """Two windows to trace by, of numbers that differ."""
    import torch

    shape = head.encoder_hours, head.encoder_hours + head.forecast_hours
    rng = np.random.default_rng(20)
    observed = rng.normal(size=(2, shape[0], len(OBSERVED))).astype(np.float32)
    known = rng.normal(size=(2, shape[1], len(KNOWN))).astype(np.float32)
    return torch.zeros(2, dtype=torch.int64), torch.from_numpy(observed), torch.from_numpy(known)


class OnnxWindowPredictor(WindowPredictor):
    """An exported network."""

    def __init__(self, session: Any, facts: ExportFacts, head: Head) -> None:
        super().__init__(head)
        self.session, self.facts = session, facts

    def raw(self, symbol: int, observed: Matrix, known: Matrix) -> Matrix:
        """See `WindowPredictor`."""
        values = (np.full(len(observed), symbol, np.int64), observed, known)
        feed = {name: np.ascontiguousarray(value) for name, value in zip(INPUTS, values, strict=True)}
        (found,) = self.session.run((OUTPUT,), feed)
        quantiles: Matrix = found
        return quantiles


def window_predictor(data: bytes, source: str) -> OnnxWindowPredictor:
    """A predictor of such bytes. Raises DataError, naming `source`, for others."""
    session = session_of(data, source)
    facts, head = facts_in(session, source), head_in(session.get_modelmeta().custom_metadata_map, source)
    hours = head.encoder_hours, head.encoder_hours + head.forecast_hours
    wanted = {
        "symbol": ("tensor(int64)", []),
        "observed": ("tensor(float)", [hours[0], len(OBSERVED)]),
        "known": ("tensor(float)", [hours[1], len(KNOWN)]),
    }
    found = {it.name: (it.type, list(it.shape[1:])) for it in session.get_inputs()}
    outputs = [(it.name, it.type, len(it.shape)) for it in session.get_outputs()]
    if found != wanted or outputs != [(OUTPUT, "tensor(float)", 3)]:
        raise not_an_export(source, f"it does not give {len(LEVELS)} quantiles of the windows of its head")
    return OnnxWindowPredictor(session, facts, head)


def head_in(texts: dict[str, str], source: str) -> Head:
    """The head in the metadata of a file. Raises DataError."""
    try:
        return read_head(texts.get(HEAD, "null"))
    except (InvalidModel, ValueError, TypeError, RecursionError) as error:
        raise not_an_export(source, f"its head: {error}"[:160]) from None
