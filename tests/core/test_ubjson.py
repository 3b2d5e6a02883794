"""One whole UBJSON object, or not: what stands between a store's bytes and XGBoost."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.forecasters.ubjson import is_whole_object

KEY = b"U\x01a"


def long(number: int) -> bytes:
    """A length as XGBoost writes it."""
    return b"L" + struct.pack(">q", number)


WHOLE = [
    b"{}",
    b"{" + KEY + b"Z}",
    b"{" + KEY + b"SU\x03xyz}",
    b"{" + KEY + b"[#" + long(2) + b"TF}",
    b"{" + KEY + b"[$d#" + long(2) + b"\x00" * 8 + b"}",
    b"{" + KEY + b"[$U#i\x00}",
    b"{" + KEY + b"{" + KEY + b"i\x05}}",
    b"{#i\x01" + KEY + b"D" + b"\x00" * 8,
    b"{$i#i\x02" + KEY + b"\x01" + b"U\x01b\x02",
    b"{" + KEY + b"[[]{}]}",
]
BROKEN = [
    b"",
    b"{",
    b"[]",
    b"Z",
    b"{}}",
    b"{" + KEY + b"}",
    b"{" + KEY + b"?}",
    b"{" + KEY + b"[$d#" + long(2**40) + b"}",
    b"{" + KEY + b"[$d#" + long(-1) + b"}",
    b"{" + KEY + b"[$d" + b"\x00" * 8 + b"]}",
    b"{" + KEY + b"S" + long(2**62) + b"}",
    b"{" + KEY + b"[#Z]}",
    b"{" + KEY + b"[" * 100_000,
]


@pytest.mark.parametrize("data", WHOLE)
def test_a_whole_object_is_one(data: bytes) -> None:
    """Plain, counted and typed containers; no prefix of it is whole, nor is it with a byte behind."""
    assert is_whole_object(data)
    assert not any(is_whole_object(data[:n]) for n in range(len(data)))
    assert not is_whole_object(data + b"Z")


@pytest.mark.parametrize("data", BROKEN)
def test_what_is_cut_or_lies_about_its_length_is_not(data: bytes) -> None:
    """Lengths beyond the bytes, negative ones, unknown markers, bottomless nesting: no, and no exception."""
    assert not is_whole_object(data)


@given(st.binary(max_size=60), st.sampled_from(WHOLE), st.integers(0, 30))
def test_any_bytes_get_an_answer(noise: bytes, whole: bytes, at: int) -> None:
    """Noise, alone or written over an object, never raises."""
    assert isinstance(is_whole_object(b"{" + noise), bool)
    assert isinstance(is_whole_object(whole[:at] + noise + whole[at + len(noise) :]), bool)
