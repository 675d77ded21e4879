"""The URL of a bucket: what is taken, what is refused, and that nothing that may be a secret is ever shown."""

from pathlib import Path

import pytest

from treering import Invalid, LimitExceeded
from treering._core import BucketCore

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("file:///tmp", "give the path alone"),
        ("data/x", "s3://BUCKET/PREFIX"),
        (f"s3://KEY:{SECRET}@data/x", "no user"),
        (f"s3://data#{SECRET}", "no user"),
        ("s3://ab", "3 to 63"),
        ("s3://" + "a" * 64, "3 to 63"),
        ("s3://Data", "3 to 63"),
        ("s3://-data", "3 to 63"),
        ("s3://da..ta", "3 to 63"),
        ("s3://data/a//b", "names of letters"),
        ("s3://data/../b", "names of letters"),
        ("s3://data/a b", "names of letters"),
        ("s3://data/ü", "names of letters"),
        (f"s3://data?{SECRET}", "endpoint, region, path_style"),
        ("s3://data?colour=red", "endpoint, region, path_style"),
        (f"s3://data?access_key={SECRET}&secret_key={SECRET}", "env:NAME"),
        (f"s3://data?secret_key={SECRET}", "env:NAME"),
        ("s3://data?access_key=env:A", "together"),
        ("s3://data?token=env:A", "token is given with"),
        ("s3://data?access_key=env:A&secret_key=env:B&instance=true", "exclude"),
        (f"s3://data?endpoint=http://u:{SECRET}@h", "without user"),
        ("s3://data?endpoint=ftp://h", "without user"),
        ("s3://data?endpoint=http://h/x", "without user"),
        ("s3://data?timeout=0", "1 to 3600"),
        ("s3://data?give_up=3601", "0 to 3600"),
        ("s3://data?give_up=-1", "0 to 3600"),
        ("s3://data?path_style=yes", "true or false"),
        ("s3://data?region=a/b", "region is of"),
        ("s3://data?region=a&region=b", "once"),
        ("s3://data?region=%zz", "hexadecimal"),
        ("s3://data?region=%ff", "UTF-8"),
    ],
)
def test_what_is_refused(url: str, says: str) -> None:
    with pytest.raises(Invalid) as error:
        BucketCore(url)
    assert says in str(error.value)
    assert SECRET not in str(error.value)
    assert SECRET not in repr(vars(error.value))


def test_limits() -> None:
    most = "s3://data/" + "p" * 512
    assert BucketCore(most).url == most
    with pytest.raises(LimitExceeded) as error:
        BucketCore(most + "p")
    assert (error.value.limit, error.value.actual) == (512, 513)
    with pytest.raises(LimitExceeded):
        BucketCore("s3://data?region=" + "r" * 2032)


def test_what_is_taken_is_shown_as_it_is() -> None:
    for url in ("s3://abc", "s3://data/a/b.c_d-e", "s3://data/x?region=eu-1&timeout=1&give_up=0&path_style=false"):
        assert BucketCore(url).url == url
    # One name for one place: it is what a store remembers.
    assert BucketCore("s3://data/x/?region=a").url == "s3://data/x?region=a"


def test_secrets_are_read_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "key")
    file = tmp_path / "sec&ret"
    url = f"s3://data?access_key=env:A_KEY&secret_key=file:{str(file).replace('&', '%26')}"
    with pytest.raises(Invalid, match=r"sec&ret.*can't be read"):
        BucketCore(url)
    for content, says in [(b"", "not set, or empty"), (b"a" * 65_537, "64 KiB"), (b"\xff", "UTF-8")]:
        file.write_bytes(content)
        with pytest.raises(Invalid, match=says):
            BucketCore(url)
    file.write_bytes(b"a" * 65_536)
    BucketCore(url)
    monkeypatch.delenv("A_KEY")
    with pytest.raises(Invalid, match="env:A_KEY"):
        BucketCore(url)
