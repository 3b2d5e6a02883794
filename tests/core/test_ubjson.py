"""UBJSON as XGBoost writes it: what this program writes of a model's values are XGBoost's own bytes."""

from __future__ import annotations

import pytest

from tests.support.model_mutants import decoded, genuine
from trader.forecasters.ubjson import Packed, encode, integer


def test_the_values_of_a_model_are_written_as_xgboost_writes_them() -> None:
    """Read by a reader of the tests and written again: equal bytes."""
    model = genuine("xgboost")
    assert encode(decoded(model)) == model


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, b"i\x00"), (126, b"i\x7e"), (127, b"I\x00\x7f"), (-127, b"i\x81"), (-128, b"I\xff\x80"), (32_767, b"l\0\0\x7f\xff"),
        (2**31, b"L\0\0\0\0\x80\0\0\0"),
    ],
)  # fmt: skip  # read as a table
def test_an_integer_takes_the_smallest_type_that_it_does_not_fill(value: int, written: bytes) -> None:
    """The ends of a type belong to the next one."""
    assert integer(value) == written


def test_a_packed_array_says_its_type_and_number_once() -> None:
    """And a text its length in bytes, an object its keys in their order."""
    nine = b"L" + bytes(7)
    assert encode(Packed(b"l", bytes(8))) == b"[$l#" + nine + b"\x02" + bytes(8)
    assert encode("é") == b"S" + nine + b"\x02" + "é".encode()
    assert (
        encode({"b": [], "a": "x"})
        == b"{" + nine + b"\x01b[#" + nine + b"\0" + nine + b"\x01aS" + nine + b"\x01x}"
    )
