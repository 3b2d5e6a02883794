"""The journal's lines as tables for people: CSV for a spreadsheet, Parquet for a notebook."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from trader.core.errors import ConfigError
from trader.core.hours import LINE_KEYS


def write_csv(file: TextIO, lines: Sequence[dict[str, Any]]) -> None:
    """Lines with a header, in the order of LINE_KEYS; what is unknown is empty."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(LINE_KEYS)
    writer.writerows([["" if line[key] is None else line[key] for key in LINE_KEYS] for line in lines])


def write_parquet(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Lines as a table: close_time in UTC, p_up a double, amounts as decimal strings so that none is rounded."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pa.table({key: [line[key] for line in lines] for key in LINE_KEYS})
    times = pc.strptime(table["close_time"], format="%Y-%m-%dT%H:%M:%SZ", unit="ms")
    table = table.set_column(0, "close_time", times.cast(pa.timestamp("ms", "UTC")))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}. Choose another folder") from None
