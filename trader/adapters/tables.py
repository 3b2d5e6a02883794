"""The journal's lines as tables for people: CSV for a spreadsheet, Parquet for a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from trader.core.errors import ConfigError
from trader.core.hours import LINE_KEYS, HourLine, line_json
from trader.core.text import write_csv_rows


def write_csv(file: TextIO, lines: Sequence[HourLine]) -> None:
    """Lines with a header, in the order of LINE_KEYS; what is unknown is empty, and no text is a formula."""
    write_csv_rows(file, [LINE_KEYS, *(line_json(line).values() for line in lines)])


def write_parquet(path: Path, lines: Sequence[HourLine]) -> None:
    """Lines as a table: close_time in UTC, p_up a double, amounts as decimal strings so that none is rounded."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows = [line_json(line) for line in lines]
    table = pa.table({key: [row[key] for row in rows] for key in LINE_KEYS})
    times = pc.strptime(table["close_time"], format="%Y-%m-%dT%H:%M:%SZ", unit="ms")
    table = table.set_column(0, "close_time", times.cast(pa.timestamp("ms", "UTC")))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}. Choose another folder") from None
