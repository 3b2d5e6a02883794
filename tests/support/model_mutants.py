"""Models as a hostile writer might leave them: bytes flipped, cut and spliced, and values changed within a well-formed model.

    python -m tests.support.model_mutants FAMILY COUNT SEED

loads that many in one process and prints how many were refused and how many taken. A taken one must give P(up) in [0, 1].
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import math
import random
import resource
import struct
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.bars_made import bars_made
from tests.support.rows_made import fit
from trader.core.errors import DataError
from trader.core.panel import Panel
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.ports import Contributing, Predictor
from trader.forecasters.registry import forecaster_of
from trader.forecasters.ubjson import SIZES, Packed, encode

QUICK: dict[str, dict[str, Any]] = {
    "xgboost": {"n_estimators": 12, "max_depth": 4, "learning_rate": 0.2, "subsample": 0.8, "gamma": 0},
    "lightgbm": {"n_estimators": 10, "num_leaves": 8, "min_data_in_leaf": 10},
}
FEATURES = 9
LONGEST_S = 30.0  # that one mutant may take
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    5,
    -2,
    8,
    9,
    14,
    127,
    128,
    255,
    1_000,
    65_536,
    2**31 - 1,
    -(2**31),
    2**62,
    -(2**62),
)
REALS = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-45, 3e38, -3e38, 1e31, 0.5, -7.25)
TEXTS = (
    "", "0", "1", "-1", "2", "3", "12", "1000000", "4294967296", "9223372036854775808", "nan", "inf", "-inf", "1e400",
    "0.5", "[5E-1]", "[]", "[nan]", "[1E0]", "[0E0]", "[5E-1,5E-1]", "x" * 3_000, "\0", "gblinear", "dart", "multi:softprob",
    "reg:squarederror", "binary:hinge", "rank:pairwise", "none", "[0:1]", "1 2", "1  2", "A,B", "é",
)  # fmt: skip  # read as a table


def rows() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Features of 400 hours."""
    return np.random.default_rng(5).normal(size=(400, FEATURES)).astype(np.float32)


def genuine(family: str) -> bytes:
    """A small model of a family."""
    X = rows()
    y = (X[:, 0] + X[:, 3] * X[:, 4] > 0).astype(float)
    params = params_of({**DEFAULT_PARAMS, "model": {"family": family, **QUICK.get(family, {})}}, "a test")
    forecaster = forecaster_of(family)
    if forecaster.traits.reads == "rows":
        return fit(forecaster, X, y, params)
    panel = Panel.of([bars_made(400, 3)])
    return forecaster.fit(
        panel, y.reshape(1, -1), params, horizon=1, until=int(panel.close_time[-1]), seed=params.seed
    )


# --- bytes -------------------------------------------------------------------------------------------------------------------


def flipped(data: bytes, rng: random.Random) -> bytes:
    """One to four bits of it."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    """Its beginning, or without a part of its middle."""
    at = rng.randrange(len(data))
    return data[:at] + (b"" if rng.random() < 0.5 else data[at + rng.randint(1, 60) :])


def spliced(data: bytes, rng: random.Random) -> bytes:
    """With a part of itself, or noise, written over another place or pushed in."""
    size, source, target = rng.randint(1, 64), rng.randrange(len(data)), rng.randrange(len(data))
    part = data[source : source + size] if rng.random() < 0.7 else rng.randbytes(size)
    return data[:target] + part + data[target + (size if rng.random() < 0.5 else 0) :]


def relengthed(data: bytes, rng: random.Random) -> bytes:
    """Another 64-bit length in one place."""
    places = [at for at in range(len(data) - 9) if data[at : at + 6] == b"L\0\0\0\0\0"]
    if not places:
        return flipped(data, rng)
    at = rng.choice(places) + 1
    return data[:at] + struct.pack(">q", rng.choice(NUMBERS)) + data[at + 8 :]


# --- UBJSON ------------------------------------------------------------------------------------------------------------------

FORMATS = {b"d": "f", b"l": "i", b"U": "B", b"L": "q"}
INTEGERS = {b"i": 1, b"I": 2, b"l": 4, b"L": 8}


def decoded(data: bytes) -> Any:
    """The values of what XGBoost wrote."""
    return _value(data, 0)[0]


def _value(data: bytes, at: int) -> tuple[Any, int]:
    mark, at = data[at : at + 1], at + 1
    if mark in INTEGERS:
        size = INTEGERS[mark]
        return int.from_bytes(data[at : at + size], "big", signed=True), at + size
    if mark == b"S":
        text, at = _text(data, at + 1)
        return text, at
    if mark == b"{":
        found = {}
        while data[at : at + 1] != b"}":
            name, at = _text(data, at + 1)
            found[name], at = _value(data, at)
        return found, at + 1
    kind = b""
    if data[at : at + 1] == b"$":
        kind, at = data[at + 1 : at + 2], at + 2
    count, at = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
    if kind:
        end = at + count * SIZES[kind]
        return Packed(kind, data[at:end]), end
    items = []
    for _ in range(count):
        item, at = _value(data, at)
        items.append(item)
    return items, at


def _text(data: bytes, at: int) -> tuple[str, int]:
    size = int.from_bytes(data[at : at + 8], "big")
    return data[at + 8 : at + 8 + size].decode(), at + 8 + size


def repacked(old: Packed, rng: random.Random) -> Packed:
    """Another item, order, number or type of items."""
    form = FORMATS[old.kind]
    items = list(struct.unpack(f">{len(old.data) // SIZES[old.kind]}{form}", old.data))
    kind = old.kind
    match rng.randrange(6):
        case 0 if items:
            items.pop(rng.randrange(len(items)))
        case 1:
            items.insert(rng.randint(0, len(items)), rng.choice(items) if items else 0)
        case 2 if len(items) > 1:
            one, other = rng.sample(range(len(items)), 2)
            items[one], items[other] = items[other], items[one]
        case 3 if rng.random() < 0.3:
            kind = rng.choice(list(FORMATS))
        case _ if items:
            for _ in range(rng.randint(1, 2)):
                items[rng.randrange(len(items))] = rng.choice(
                    REALS if form == "f" else (*NUMBERS, *range(20))
                )
    return Packed(kind, b"".join(_item(kind, item) for item in items))


def _item(kind: bytes, value: float) -> bytes:
    form, size = FORMATS[kind], 8 * SIZES[kind]
    if form == "f":
        return struct.pack(">f", min(max(value, -3.4e38), 3.4e38) if math.isfinite(value) else value)
    whole = int(value) if math.isfinite(value) else 0
    return (whole % (1 << size)).to_bytes(SIZES[kind], "big")


def changed(value: Any, rng: random.Random) -> Any:
    """Another value in the place of this one."""
    if isinstance(value, Packed):
        return repacked(value, rng)
    if rng.random() < 0.1:
        return rng.choice([[], {}, "", 0, Packed(b"l"), [0, 0], {"x": 1}])
    if isinstance(value, str):
        return rng.choice(TEXTS)
    if isinstance(value, dict):
        names = list(value)
        name = rng.choice(names) if names else "x"
        kept = {it: item for it, item in value.items() if it != name}
        return (
            kept
            if rng.random() < 0.5
            else {**kept, rng.choice(["x", "symbols", name + "_"]): value.get(name, "1")}
        )
    if isinstance(value, list) and value:
        at = rng.randrange(len(value))
        return rng.choice(
            [value[:at], [*value[: at + 1], *value[at:]], value[:at] + value[at + 1 :], value[::-1]]
        )
    return rng.choice(NUMBERS)


def sites(value: Any, within: Any = None, name: Any = None) -> list[tuple[Any, Any]]:
    """Every place in a value: what holds it, and under which name or number."""
    found = [] if within is None else [(within, name)]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        found += sites(item, value, key)
    return found


def restructured(data: bytes, rng: random.Random) -> bytes:
    """One or two values of a decoded model changed, and written again."""
    values = decoded(data)
    for _ in range(rng.choice((1, 1, 2))):
        booster = values.get("learner", {}).get("gradient_booster", {}).get("model", {})
        trees = booster.get("trees") if isinstance(booster, dict) else None
        some = trees if rng.random() >= 0.25 and isinstance(trees, list) else []
        there = sites(rng.choice(some)) if some else sites(values)
        if not there:
            break
        holder, name = rng.choice(there)
        holder[name] = changed(holder[name], rng)
    return encode(values)


# --- text --------------------------------------------------------------------------------------------------------------------


def rewritten(data: bytes, rng: random.Random) -> bytes:
    """One to three tokens, or a line, of LightGBM's text changed; its digest, and usually its sizes, fitting."""
    head, _, text = data.partition(b"\n")
    lines = text.decode().split("\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.choice([i for i, line in enumerate(lines[:220]) if "=" in line] or [0])
        name, _, rest = lines[at].partition("=")
        tokens = rest.split(" ")
        token = rng.randrange(len(tokens))
        match rng.randrange(6):
            case 0:
                tokens.pop(token)
            case 1:
                tokens.insert(token, tokens[token])
            case 2:
                lines.insert(at, lines[at])
                continue
            case _:
                tokens[token] = str(rng.choice((*NUMBERS, *REALS, *TEXTS, *range(-9, 9))))
        lines[at] = f"{name}={' '.join(tokens)}"
    if rng.random() < 0.8:
        lines = sized(lines)
    return signed(head, "\n".join(lines).encode())


def sized(lines: list[str]) -> list[str]:
    """With the sizes that its trees have now."""
    starts = [i for i, line in enumerate(lines) if line.startswith("Tree=")]
    ends = [*starts[1:], next((i for i, line in enumerate(lines) if line == "end of trees"), len(lines))]
    sizes = [len("\n".join(lines[i:j]).encode()) + 1 for i, j in zip(starts, ends, strict=True)]
    return [f"tree_sizes={' '.join(map(str, sizes))}" if it.startswith("tree_sizes=") else it for it in lines]


def signed(head: bytes, text: bytes) -> bytes:
    """With the digest of the text in its first line."""
    try:
        said = {**json.loads(head), "sha256": hashlib.sha256(text).hexdigest()}
    except (ValueError, TypeError):
        return head + b"\n" + text
    return json.dumps(said, sort_keys=True).encode() + b"\n" + text


def in_text(mutate: Callable[[bytes, random.Random], bytes]) -> Callable[[bytes, random.Random], bytes]:
    """A mutation of LightGBM's text behind a digest that fits."""

    def done(data: bytes, rng: random.Random) -> bytes:
        head, _, text = data.partition(b"\n")
        return signed(head, mutate(text, rng))

    return done


def revalued(data: bytes, rng: random.Random) -> bytes:
    """One value of a JSON model changed."""
    values = json.loads(data)
    holder, name = rng.choice(sites(values))
    holder[name] = rng.choice((*NUMBERS, *REALS, *TEXTS[:12], None, True, [], {}, ["A"], [1], "nested"))
    text = json.dumps(values)
    deep = rng.choice((3, 3_000))
    return text.replace('"nested"', "[" * deep + "]" * deep).encode()


BYTES = (flipped, cut, spliced)
MUTATIONS: dict[str, tuple[Callable[[bytes, random.Random], bytes], ...]] = {
    "xgboost": (*BYTES, relengthed, *[restructured] * 6),
    "lightgbm": (*BYTES, *map(in_text, BYTES), *[rewritten] * 6),
    **dict.fromkeys(("naive", "arima", "prophet"), (*BYTES, revalued, revalued)),
}


def mutants(family: str, count: int, seed: int) -> Any:
    """So many mutated models of a family, each from a generator of its own."""
    model = genuine(family)
    for n in range(count):
        rng = random.Random(f"{family} {seed} {n}")
        yield rng.choice(MUTATIONS.get(family, BYTES))(model, rng)


def answers(predictor: Predictor) -> bool:
    """Whether it gives P(up) in [0, 1]; what it says of a row's features must only come back."""
    panel = Panel.of([bars_made(400, 3)], [rows()])
    p_up = predictor.predict(panel, panel.close_time[-50:]).p_up
    if isinstance(predictor, Contributing):
        predictor.contributions(panel.X[0][-2:])
    return bool(((p_up >= 0) & (p_up <= 1)).all())


def main(family: str, count: int, seed: int) -> None:
    """Load them all."""
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    faulthandler.enable()
    told: Counter[str] = Counter()
    for n, model in enumerate(mutants(family, count, seed)):
        faulthandler.dump_traceback_later(LONGEST_S, exit=True)
        try:
            predictor = forecaster_of(family).load(model, "here")
            told["taken" if answers(predictor) else f"no P(up), mutant {n}"] += 1
        except DataError:
            told["refused"] += 1
        faulthandler.cancel_dump_traceback_later()
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
