"""The harness of the fuzz tests finds what is planted, and says how to see it again."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fuzz import fuzz


@pytest.fixture(autouse=True)
def _not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TREERING_FUZZ_SECONDS", "TREERING_FUZZ_SEED", "TREERING_FUZZ_INPUT"):
        monkeypatch.delenv(name, raising=False)


def test_a_failure_says_how_to_do_it_again() -> None:
    def read(data: bytes) -> bytes | None:
        if data.startswith(b"se") and len(data) == 3:
            raise KeyError("planted")
        return data if len(data) < 5 else None

    with pytest.raises(KeyError) as failed:
        fuzz("planted", read, lambda *_: None, seeds=[b"seed"], cases=2000)
    assert "TREERING_FUZZ_INPUT=7365" in failed.value.__notes__[0]


def test_memory_beyond_the_allowance_fails() -> None:
    def read(data: bytes) -> bytes | None:
        kept = bytes(1 << 21) if len(data) == 3 else b""
        return data if len(data) < 5 or kept else None

    with pytest.raises(AssertionError, match="are allowed"):
        fuzz("planted", read, lambda *_: None, seeds=[b"seed"], cases=2000)


def test_a_run_that_proves_nothing_fails() -> None:
    for answer in (None, 1):
        with pytest.raises(AssertionError, match="both sorts must come"):
            fuzz("planted", lambda _, answer=answer: answer, lambda *_: None, seeds=[b"seed"], cases=50)
