"""What is downloaded is pinned by hash, and the locks name no place of the machine that wrote them."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
FIXTURES = (ROOT / "tests" / "ipld-fixtures.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINNED = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ; [^\\]+)? \\$", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    return {m["name"]: m["version"] for m in PINNED.finditer(lock)}


@pytest.mark.parametrize("lock", [LOCK, FIXTURES], ids=["requirements-dev", "ipld-fixtures"])
@pytest.mark.parametrize(
    "place", ["file:", "--find-links", "-f ", "--index-url", "-i ", "--extra-index-url", "://", " /", "--trusted"]
)
def test_no_place_is_named(lock: str, place: str) -> None:
    assert [line for line in lock.splitlines() if line.startswith(place) or f" {place}" in line] == []


def test_every_line_is_a_pin_with_hashes_or_a_comment() -> None:
    entries = re.split(r"\n(?=[a-z])", re.sub(r"^ *#.*\n?", "", LOCK, flags=re.MULTILINE).strip())
    assert len(entries) == len(pins(LOCK)) > 20
    for entry in entries:
        head, *hashes = (line.strip(" \\") for line in entry.splitlines())
        assert PINNED.match(entry), head
        assert hashes, head
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), head


def test_what_the_project_asks_for_is_locked() -> None:
    wanted = (ROOT / "requirements-dev.in").read_text(encoding="utf-8")
    asked = {re.split(r"[=<>]", line)[0] for line in wanted.splitlines() if line and line[0] != "#"}
    run_time = {re.split(r"[=<>]", line)[0] for line in PROJECT["project"]["dependencies"]}
    assert asked <= pins(LOCK).keys()
    assert run_time <= pins(LOCK).keys()


def test_one_maturin_builds_everywhere() -> None:
    assert PROJECT["build-system"]["requires"] == [f"maturin=={pins(LOCK)['maturin']}"]


def test_the_fixtures_are_those_of_the_locked_peer() -> None:
    (version, digest) = re.findall(r"^libipld==(\S+) --hash=(\S+)$", FIXTURES, re.MULTILINE)[0]
    assert version == pins(LOCK)["libipld"]
    assert digest in LOCK


def test_the_version_stands_in_one_place() -> None:
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    version = manifest["workspace"]["package"]["version"]
    assert "version" not in PROJECT["project"]
    assert PROJECT["project"]["dynamic"] == ["version"]
    for crate in (ROOT / "rust").glob("*/Cargo.toml"):
        package = tomllib.loads(crate.read_text(encoding="utf-8"))["package"]
        assert package["version"] == {"workspace": True}, crate.parent.name
    own = re.findall(r'name = "(treering-\w+)"\nversion = "([^"]+)"', (ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    assert own
    assert {v for _, v in own} == {version}
