"""DAG-CBOR from and to Python objects, beside libipld in the same run."""

import json
import os
from pathlib import Path
from typing import Any

import libipld
import pytest
from floors import TEXT
from pytest_benchmark.fixture import BenchmarkFixture

from treering import codec

STATE = {
    "kind": "state",
    "role": "coder",
    "step": 12,
    "at_ms": 1_760_000_000_000,
    "meta": {"phases": 2, "model": "large", "usage": {"in": 1200, "out": 80}, "tags": ["a", "b", "c"], "score": 0.25},
    "text": TEXT[:700],
}


def shapes() -> list[Any]:
    folder = os.environ.get("TREERING_DATA")
    return [
        pytest.param(STATE, id="1 KB node"),
        pytest.param({str(n): n for n in range(1000)}, id="map of 1,000 integers"),
        *(
            pytest.param(json.loads(file.read_text())[:20], id=f"20 records of {file.stem}")
            for file in (sorted(Path(folder).glob("*.json")) if folder else [])
        ),
    ]


@pytest.mark.parametrize("value", shapes())
@pytest.mark.parametrize("who", ["treering", "libipld"])
def test_encode(benchmark: BenchmarkFixture, who: str, value: Any) -> None:
    encode = codec.encode if who == "treering" else libipld.encode_dag_cbor
    benchmark.group = "encode " + str(type(value).__name__) + f" of {len(codec.encode(value))} bytes"
    benchmark(encode, value)


@pytest.mark.parametrize("value", shapes())
@pytest.mark.parametrize("who", ["treering", "libipld"])
def test_decode(benchmark: BenchmarkFixture, who: str, value: Any) -> None:
    data = codec.encode(value)
    decode = codec.decode if who == "treering" else libipld.decode_dag_cbor
    assert decode(data) == value
    benchmark.group = f"decode {type(value).__name__} of {len(data)} bytes"
    benchmark(decode, data)
