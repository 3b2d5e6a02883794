"""ONNX files through onnxruntime: one thread, errors by our names, a predictor for families of rows."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from typing import Any

import numpy as np

from trader.core.errors import ConfigError
from trader.core.exports import ExportFacts, facts_of, not_an_export
from trader.core.text import how_to_install
from trader.core.types import Matrix
from trader.forecasters.rows import RowPredictor

INPUT, OUTPUT = "features", "p_up"
ERRORS_ONLY = 3
MOST_BYTES = 1 << 30


def require_library(library: str, extra: str) -> None:
    """Raises ConfigError, naming the extra, where a library is not installed."""
    if find_spec(library) is None:
        raise ConfigError(f"{library} is not installed. Install it: {how_to_install(extra)}")


def session_of(data: bytes, source: str) -> Any:
    """A session of these bytes, on one thread. Raises DataError, naming `source`, for bytes that onnxruntime does not take."""
    require_library("onnxruntime", "onnx")
    import onnxruntime as ort  # type: ignore[import-untyped]  # it has none
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # type: ignore[import-untyped]

    if len(data) > MOST_BYTES:
        raise not_an_export(source, f"more than {MOST_BYTES >> 20:,} MiB")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    refusals = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NoModel)
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except (*refusals, state.NotImplemented, state.RuntimeException) as error:
        raise not_an_export(source, " ".join(str(error).split())[:160]) from None


def facts_in(session: Any, source: str) -> ExportFacts:
    """What the file says of itself. Raises DataError for one that another program wrote."""
    return facts_of(session.get_modelmeta().custom_metadata_map, source)


class _SingleRow:
    """One row at a time, as a bot or a server asks, through memory that the session is bound to once: it takes less time than
    a run with arrays of its own (ADR 34). One thread at a time has it."""

    def __init__(self, session: Any, features: int) -> None:
        self._session, self._lock = session, threading.Lock()
        self._row, self._p_up = np.zeros((1, features), np.float32), np.zeros(1, np.float32)
        self._binding = session.io_binding()
        self._binding.bind_cpu_input(INPUT, self._row)
        self._binding.bind_output(OUTPUT, "cpu", 0, np.float32, [1], self._p_up.ctypes.data)

    def score(self, row: Matrix) -> Matrix | None:
        """P(up) of a row (1, k): (1,) float32; None while another thread asks."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            self._row[:] = row
            self._session.run_with_iobinding(self._binding)
            return self._p_up.copy()
        finally:
            self._lock.release()


class OnnxRowPredictor(RowPredictor):
    """An exported family of rows. It scores a row with NaN as the model's own trees do; `predict` says nothing of one, as the
    bot does."""

    def __init__(self, session: Any, facts: ExportFacts) -> None:
        self.session, self.facts = session, facts
        self.symbols, self.features = facts.symbols, len(facts.columns)
        self._single_row = _SingleRow(session, self.features)

    def scores(self, X: Matrix) -> Matrix:
        """P(up) for each row: X (n, k) float32 -> (n,) float32."""
        if X.shape == (1, self.features) and (alone := self._single_row.score(X)) is not None:
            return alone
        (found,) = self.session.run((OUTPUT,), {INPUT: np.ascontiguousarray(X, np.float32)})
        scores: Matrix = found
        return scores


def row_predictor(data: bytes, source: str) -> OnnxRowPredictor:
    """A predictor of such bytes. Raises DataError, naming `source`, for others."""
    session = session_of(data, source)
    facts = facts_in(session, source)
    inputs = [(it.name, it.type, list(it.shape[1:])) for it in session.get_inputs()]
    outputs = [(it.name, it.type) for it in session.get_outputs()]
    if inputs != [(INPUT, "tensor(float)", [len(facts.columns)])] or outputs != [(OUTPUT, "tensor(float)")]:
        raise not_an_export(
            source, f"it does not take {len(facts.columns)} features and give P(up), as its metadata says"
        )
    return OnnxRowPredictor(session, facts)
