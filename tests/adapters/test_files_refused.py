"""Everything that is not a bar file is refused in words, by file, row and way out; fuzzing finds no other end."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.adapters.test_files import CSV_SHAPES, HEADER, assert_same, parquet_of, stamped, synthetic
from tests.support.examples import share_of
from trader.adapters.files import read_bars, write_bars
from trader.core.bars import as_columns
from trader.core.errors import ConfigError, DataError
from trader.core.types import Bars

ROW = "1701388800000,1,2,0.5,1.5,10"
BAD_TEXTS = {
    "": "is empty",
    "\n\n": "is empty",
    "hello": "is not a bar file",
    "a,b,c\n1,2,3\n": "has no column open_time, open, high, low, close, volume; it has: a, b, c",
    "open_time,open,high,low,close\n1701388800000,1,2,1,1\n": "has no column volume; it has: open_time, open",
    ",".join(HEADER) + "\n": "there are no rows",
    f"{','.join(HEADER)}\n{ROW}\n1701392400000,1,2,0.5,x1,10\n": "row 3: close is 'x1', not a number",
    f"{','.join(HEADER)}\n{ROW}\n1701392400000,1,2,0.5,,10\n": r"row 3 .*: close is missing",
    f"{','.join(HEADER)}\n{ROW}\n,1,2,0.5,1,10\n": "row 3: open_time is empty",
    f"{','.join(HEADER)}\n{ROW}\n\x1d1701392400000,1,2,0.5,1,10\n": "row 3: open time .* is neither",
    f"{','.join(HEADER)}\n{ROW}\nyesterday,1,2,0.5,1,10\n": "row 3: open time 'yesterday' is neither",
    f"{','.join(HEADER)}\n{ROW}\n1701392400000,1,2,0.5\n": "is not a readable CSV: row 3 has 4 columns instead of 6",
    f"{','.join(HEADER)}\n{ROW}\n{ROW}\n": "row 3 .*: appears twice",
    f"{','.join(HEADER)}\n1701388800000001,1,2,0.5,1.5,10\n": "row 2: open time .* does not lie on the full hour",
    f"{','.join(HEADER)},Close\n{ROW},1\n": "has the column close twice",
    f"{ROW}\n": "has no header line and 6 columns; .* Put a header on top: open_time,open",
    f"{','.join(HEADER)}\n1701388800000,1,2,0.5,1e400,10\n": "close is missing or not a finite number",
}


@pytest.mark.parametrize("content", BAD_TEXTS)
def test_bad_csv_is_refused_in_words(content: str, tmp_path: Path) -> None:
    """Each kind of broken CSV names the file, the line and what to do."""
    path = tmp_path / "BTCUSDT-1h.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=BAD_TEXTS[content]) as caught:
        read_bars(path)
    assert str(caught.value).startswith(str(path))


ODD_LINES = {
    "a number": ("1701392400000,1,2,0.5,x1,10", "close is 'x1'"),
    "a time": ("yesterday,1,2,0.5,1,10", "open time 'yesterday'"),
    "no time": (",1,2,0.5,1,10", "open_time is empty"),
    "a unit": ("1701392400000001,1,2,0.5,1,10", "open time 1701392400000001 does not lie"),
    "a price": ("1701392400000,1,2,0.5,-1,10", r"\(.*\): close is not a positive price"),
    "a column less": ("1701392400000,1,2,0.5,1", "has 5 columns instead of 6; correct the file"),
    "spaces": ("   ", "has 1 column instead of 6; correct the file"),
}


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", ODD_LINES)
def test_the_line_is_the_one_that_an_editor_shows(kind: str, ends: str, tmp_path: Path) -> None:
    """Lines above the header and blank lines anywhere are counted, whatever is wrong with the seventh line."""
    line, says = ODD_LINES[kind]
    path = tmp_path / "BTCUSDT-1h.csv"
    path.write_bytes(ends.join(["# mine", ",".join(HEADER), "", ROW, "", "", line, ""]).encode())
    with pytest.raises(DataError, match=rf"BTCUSDT-1h\.csv: .*row 7:? {says}"):
        read_bars(path)


def test_the_line_is_right_where_the_newest_row_comes_first(tmp_path: Path) -> None:
    """Three hours from new to old with a blank line between: the oldest, which is wrong, stands in line 5."""
    rows = [f"{1701388800000 + n * 3_600_000},1,2,0.5,{price},10" for n, price in ((2, 1), (1, 1), (0, 9))]
    path = tmp_path / "BTCUSDT-1h.csv"
    path.write_text("\n".join([",".join(HEADER), rows[0], "", *rows[1:], ""]))
    with pytest.raises(DataError, match=r"row 5 \(2023-12-01T00:00:00Z\): close lies outside low\.\.high"):
        read_bars(path)


def test_paths_that_hold_no_file(tmp_path: Path) -> None:
    """A missing file, a folder, a path through a file and a name no system allows are each refused."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="no such file; check the path"):
        read_bars(tmp_path / "none.parquet")
    with pytest.raises(ConfigError, match="is a folder; give one bar file"):
        read_bars(tmp_path)
    for bad in (tmp_path / "file" / "x.csv", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_bars(bad)


def test_broken_parquet_and_zip(tmp_path: Path) -> None:
    """Truncated and mistaken containers are refused as what they claim to be."""
    good = tmp_path / "good.parquet"
    write_bars(good, synthetic())
    for size in (4, 100, good.stat().st_size // 2, good.stat().st_size - 1):
        broken = tmp_path / "X-1h.parquet"
        broken.write_bytes(good.read_bytes()[:size])
        with pytest.raises(DataError, match=r"is a broken Parquet file: .*; fetch it again"):
            read_bars(broken)
    broken.write_text(CSV_SHAPES["iso"])
    with pytest.raises(DataError, match=r"is not a Parquet file \(it does not begin with PAR1\)"):
        read_bars(broken)
    packed = zip_of({"a.csv": CSV_SHAPES["iso"]})
    path = tmp_path / "X-1h.zip"
    for size in (2, 40, len(packed) // 2, len(packed) - 1):
        path.write_bytes(packed[:size])
        with pytest.raises(DataError, match=r"is not a whole zip file: .*; fetch it again"):
            read_bars(path)


def zip_of(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("files", "count"), [({}, 0), ({"a.txt": "x"}, 0), ({"a.csv": "x", "b.csv": "y"}, 2)]
)
def test_zip_holds_exactly_one_csv(files: dict[str, str], count: int, tmp_path: Path) -> None:
    """A zip with no or several CSV files is ambiguous and refused."""
    path = tmp_path / "X-1h.zip"
    path.write_bytes(zip_of(files))
    with pytest.raises(DataError, match=f"holds {count} CSV files instead of one; unpack it first"):
        read_bars(path)


def test_parquet_without_what_it_needs(tmp_path: Path) -> None:
    """Missing columns, no rows, nulls and types without a meaning are named."""
    path = tmp_path / "X-1h.parquet"
    table = parquet_of(synthetic(optional=False), pa.array)
    nulls = pa.array([None, *as_columns(synthetic())[0][1:].tolist()], pa.int64())
    cases = [
        (table.drop_columns(["close"]), "has no column close; it has: open_time, open"),
        (table.slice(0, 0), "there are no rows"),
        (table.set_column(0, "open_time", nulls), "row 1: open_time is empty"),
        (table.set_column(4, "close", pa.array([True] * len(table))), "row 1 .*: close lies outside"),
        (table.set_column(4, "close", pa.array([[1.0]] * len(table))), "close"),
        (table.set_column(4, "close", pa.array(["x"] * len(table))), "row 1: close is 'x', not a number"),
        (table.set_column(0, "open_time", pa.array([b"x"] * len(table))), "open_time of type binary cannot"),
    ]
    for broken, problem in cases:
        pq.write_table(broken, path)
        with pytest.raises(DataError, match=problem):
            read_bars(path)


def test_write_refusals_leave_nothing_behind(tmp_path: Path) -> None:
    """No genuine rows, no such folder, a file for a folder and a folder for a file: refused, no temporary left."""
    bars = synthetic()
    with pytest.raises(DataError, match="no genuine bar to write"):
        write_bars(tmp_path / "x.parquet", bars.rows(7, 9))
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for bad in (
        tmp_path / "none" / "x.parquet",
        tmp_path / "file" / "x",
        tmp_path / "folder",
        tmp_path / "a\0b",
    ):
        with pytest.raises(ConfigError, match=r"cannot be written: .*; choose an existing folder"):
            write_bars(bad, bars)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    """When the disk is full (here: a limit on file size), the bars written before are still there, whole."""
    path = tmp_path / "BTCUSDT-1h.parquet"
    write_bars(path, synthetic())
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from trader.adapters.files import read_bars, write_bars\n"
        "path = Path(sys.argv[1]); bars = read_bars(path)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_bars(path, bars)\nexcept Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"ConfigError {path}: cannot be written: File too large")
    assert_same(read_bars(path), synthetic())
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    """Files written here carry checksums: a price that changed on the disk is refused, not traded on."""
    path = tmp_path / "BTCUSDT-1h.parquet"
    bars = synthetic()
    write_bars(path, bars)
    data = bytearray(path.read_bytes())
    data[data.index(bars.close[4:5].tobytes()) + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"is a broken Parquet file: .*CRC"):
        read_bars(path)


def judged(path: Path) -> Bars | None:
    """What reading ends with, checked: bars that are written and read again to the bit, or None after a refusal that
    names the file on one line. Any other error is the test's."""
    try:
        bars = read_bars(path)
    except ConfigError as error:
        said = str(error)
        assert said.startswith(str(path))
        assert "\n" not in said
        return None
    again = path.with_name("again.parquet")
    write_bars(again, bars)
    assert_same(read_bars(again, bars.symbol), bars)
    return bars


fuzz = settings(
    max_examples=share_of(150), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@pytest.mark.parametrize("prefix", [b"", b"PAR1", b"PK\x03\x04", b"open_time,open,high,low,close,volume\n"])
@given(data=st.binary(max_size=300))
@fuzz
def test_random_bytes_are_refused(prefix: bytes, data: bytes, tmp_path: Path) -> None:
    """Bytes of any kind, behind any file type's first bytes, are no bars."""
    path = tmp_path / "X-1h.csv"
    path.write_bytes(prefix + data)
    assert judged(path) is None


def originals() -> dict[str, bytes]:
    out = io.BytesIO()
    pq.write_table(parquet_of(synthetic(), stamped("ms", "UTC")), out)
    shapes = {name: CSV_SHAPES[name].encode() for name in ("iso", "milliseconds", "archive, milliseconds")}
    return {"parquet": out.getvalue(), "zip": zip_of({"a.csv": CSV_SHAPES["iso"]}), **shapes}


@pytest.mark.parametrize("kind", originals())
@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4)), max_size=4),
    cut=st.floats(0, 1),
)
@fuzz
def test_mutations_are_read_or_refused(
    kind: str, changes: list[tuple[float, bytes]], cut: float, tmp_path: Path
) -> None:
    """A good file with bytes replaced here and there, and cut off, is refused or holds whole bars; untouched, its own."""
    original = originals()[kind]
    data = bytearray(original)
    for place, patch in changes:
        at = int(place * (len(data) - 1))
        data[at : at + len(patch)] = patch
    path = tmp_path / "X-1h.bin"
    path.write_bytes(data if cut < 0.7 else data[: int(cut * len(data))])
    bars = judged(path)
    if path.read_bytes() == original:
        assert bars is not None
        assert len(bars) == len(synthetic())
