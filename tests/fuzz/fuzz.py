"""Fuzzing inside of ordinary tests, for what is written in Python; `rust/fuzz` does the same for the core.

Seeds are valid inputs; each case changes one by flips, cuts, splices, repeats and tokens. A case fails for any
exception that its function does not turn into an answer, and for memory beyond 1 MiB and 128 times the input, counted
by tracemalloc. What fails is printed in hex with the line that replays it.

Promises: the same seed tries the same inputs. Never: a clock, unless seconds are asked for.
"""

import os
import random
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

#: Seconds for each function instead of its number of cases; the run's seed; one input in hex, to run alone.
SECONDS, SEED, INPUT = "TREERING_FUZZ_SECONDS", "TREERING_FUZZ_SEED", "TREERING_FUZZ_INPUT"
INPUT_BYTES_MAX = 1 << 16
_FOUND_MAX = 256


def allowed_bytes(size: int) -> int:
    """What reading an input of so many bytes may hold."""
    return (1 << 20) + 128 * size


def mutated(rng: random.Random, data: bytes, other: bytes, tokens: Sequence[bytes]) -> bytes:
    """A changed copy: one change mostly, sometimes up to eight."""
    out = bytearray(data)
    for _ in range(rng.randint(2, 8) if rng.randrange(3) == 0 else 1):
        _change(rng, out, other, tokens)
    return bytes(out[: max(INPUT_BYTES_MAX, len(data))])


def _change(rng: random.Random, out: bytearray, other: bytes, tokens: Sequence[bytes]) -> None:
    at = rng.randint(0, len(out))
    end = rng.randint(at, len(out))
    match rng.randrange(9):
        case 0 if at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        case 1 if at < len(out):
            out[at] = rng.randrange(256)
        case 2:
            del out[at:]
        case 3:
            del out[at:end]
        case 4:
            out[at:at] = bytes([rng.randrange(256)])
        case 5:
            room = (INPUT_BYTES_MAX - len(out)) // max(end - at, 1)
            out[end:end] = out[at:end] * min(rng.randrange(4096 if rng.randrange(8) == 0 else 8), max(room, 0))
        case 6 if other:
            start = rng.randrange(len(other))
            out[at : end if rng.randrange(2) else at] = other[start : rng.randint(start, len(other))]
        case _ if tokens:
            token = rng.choice(tokens)
            out[at : at + (len(token) if rng.randrange(2) else 0)] = token


def fuzz(
    name: str,
    read: Callable[[bytes], Any],
    check: Callable[[bytes, Any], None],
    *,
    seeds: Sequence[bytes],
    tokens: Sequence[bytes] = (),
    cases: int,
) -> None:
    """Runs `read` on input after input; None is a refusal, anything else goes to `check`. Only `read` is measured."""
    if INPUT in os.environ:
        _one(name, "replay", bytes.fromhex(os.environ[INPUT]), read, check)
        return
    seconds = os.environ.get(SECONDS)
    seed = int(os.environ.get(SEED, 1 if seconds is None else time.time_ns() // 1000))
    until = None if seconds is None else time.monotonic() + float(seconds)
    rng = random.Random(seed)
    found: list[bytes] = []
    ran = readable = 0
    while ran < max(cases, len(seeds)) if until is None else ran < len(seeds) or time.monotonic() < until:
        if ran < len(seeds):
            data = seeds[ran]
        else:
            one, other = (rng.choice(found if found and rng.randrange(2) else seeds) for _ in range(2))
            data = mutated(rng, one, other, tokens)
        if _one(name, f"seed {seed}, case {ran}", data, read, check):
            readable += 1
            if len(data) <= 4096:
                if len(found) == _FOUND_MAX:
                    found.pop(rng.randrange(_FOUND_MAX))
                found.append(data)
        ran += 1
    print(f"{name}: seed {seed}, {ran} inputs, {readable} read")
    assert 0 < readable < ran, f"{name}: {readable} of {ran} inputs read: both sorts must come"


def _one(name: str, which: str, data: bytes, read: Callable[[bytes], Any], check: Callable[[bytes, Any], None]) -> bool:
    tracemalloc.start()
    try:
        value = read(data)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most <= allowed_bytes(len(data)), f"it took {most} bytes, {allowed_bytes(len(data))} are allowed"
        if value is not None:
            check(data, value)
    except BaseException as error:
        again = f"{INPUT}={data.hex()} pytest tests/fuzz -k {name}"
        error.add_note(f"{name}: {which}, {len(data)} bytes of input\n  {again}")
        raise
    finally:
        tracemalloc.stop()
    return value is not None
