"""Buckets by https, with an authority of our own, and buckets in the host's name: of a real server that does both."""

import datetime
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

import treering
from treering import BucketError, Invalid
from treering._core import BucketCore

sys.path.insert(0, str(Path(__file__).parent))

from proxy import Proxy
from server import Certificate, Server, place_url

MIB = 1 << 20
# A name that leads nowhere: whoever asks for it does so by the proxy that the environment names.
HOST = "s3.treering.test"


class Authority:
    """Gives out certificates; who is to trust it reads `pem`."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.pem = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(self.pem)

    def certificate(self, *names: str, until: datetime.datetime | None = None) -> Certificate:
        made = self._authority.issue_cert(*names, not_after=until)
        found = Certificate(self._folder / f"{names[0]}.pem", self._folder / f"{names[0]}.key")
        found.chain.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(found.key)
        return found


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Server]:
    certificate = authority.certificate("127.0.0.1", HOST)
    with Server(tmp_path_factory.mktemp("https") / "served", certificate=certificate) as server:
        yield server


@pytest.fixture(scope="module", params=["http", "https"])
def by_host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[Server]:
    certificate = authority.certificate(f"*.{HOST}") if request.param == "https" else None
    with Server(tmp_path_factory.mktemp("by-host") / "served", certificate=certificate, by_host=True) as server:
        yield server


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.pem))


def there_and_back(url: str, path: Path) -> None:
    """A store that uses everything: an object at once, one in parts, ranges, listings, uploads that are looked for."""
    with treering.open(path, blobs=url) as store:
        files = store.scope("alice").files
        files.put("small", b"x" * MIB)
        files.put("large", (bytes([n]) * MIB for n in range(20)))
        with files.open("large") as file:
            assert file.range(13 * MIB - 1, 2) == b"\x0c\x0d"
        assert store.verify().ok
        assert store.stats()["blob_files"] == 2
    bucket = BucketCore(url)
    upload = bucket.begin("more")
    assert bucket.uploads("more") == [upload]
    bucket.abort("more", upload)
    assert bucket.uploads("more") == []


@pytest.mark.usefixtures("trusted")
def test_a_server_with_a_certificate_of_an_authority_of_ours(safe: Server, place: str, tmp_path: Path) -> None:
    there_and_back(safe.url(place), tmp_path / "state")
    assert len(safe.objects(place)) == 3


def test_the_system_may_know_the_authority(
    safe: Server, place: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.pem))
    BucketCore(safe.url(place)).put("x", b"abc")
    assert safe.objects(place)["x"].read_bytes() == b"abc"


def test_a_bucket_in_the_name_of_the_host(
    by_host: Server, authority: Authority, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(by_host.port)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.pem))
    monkeypatch.setenv(f"{by_host.scheme}_proxy", proxy.endpoint)
    endpoint = f"{by_host.scheme}://{HOST}"
    there_and_back(place_url(place, endpoint, path_style="false"), tmp_path / "state")
    assert len(by_host.objects(place)) == 3
    asked = {request.name.partition("/")[0] for request in proxy.seen.requests}
    assert asked == {"data"} if by_host.scheme == "http" else {f"data.{HOST}:443"}
    proxy.close()


def test_who_can_not_be_trusted_is_asked_once(safe: Server, place: str, tmp_path: Path, authority: Authority) -> None:
    """Told at once, with what to do: by default a call goes on for two minutes."""
    with pytest.raises(BucketError, match=r"connection is not safe.*UnknownIssuer.*AWS_CA_BUNDLE") as error:
        BucketCore(safe.url(place)).put("x", b"")
    assert "tried" not in str(error.value)
    with pytest.raises(BucketError, match="AWS_CA_BUNDLE"):
        treering.open(tmp_path / "state", blobs=safe.url(place))
    assert not (tmp_path / "state").exists()


@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_another_name(safe: Server, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(safe.port)
    monkeypatch.setenv("https_proxy", proxy.endpoint)
    bucket = BucketCore(place_url(place, "https://other.test"))
    with pytest.raises(BucketError, match=r"not safe.*other\.test.*a name that the certificate has"):
        bucket.size("x")
    assert proxy.count("CONNECT") == 1
    proxy.close()


@pytest.mark.usefixtures("trusted")
def test_a_certificate_that_is_over(authority: Authority, place: str, tmp_path: Path) -> None:
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    over = authority.certificate("127.0.0.1", until=yesterday)
    with (
        Server(tmp_path / "served", certificate=over) as server,
        pytest.raises(BucketError, match=r"not safe.*expired.*renew the server's certificate"),
    ):
        BucketCore(server.url(place)).size("x")


@pytest.mark.usefixtures("trusted")
def test_http_where_https_is_and_the_other_way_round(safe: Server, server: Server, place: str) -> None:
    with pytest.raises(BucketError, match="400 Client sent an HTTP request to an HTTPS server"):
        BucketCore(safe.url(place).replace("https://", "http://")).put("x", b"")
    with pytest.raises(BucketError, match="does not speak TLS there") as error:
        BucketCore(server.url(place).replace("http://", "https://")).put("x", b"")
    assert "tried" not in str(error.value)


def test_a_file_of_authorities_is_one(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "authorities.pem"
    monkeypatch.setenv("AWS_CA_BUNDLE", str(file))
    url = place_url(place, "https://127.0.0.1:9")
    with pytest.raises(Invalid, match=r"AWS_CA_BUNDLE.*authorities\.pem.*can't be read"):
        BucketCore(url)
    for content in (b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        file.write_bytes(content)
        with pytest.raises(Invalid):
            BucketCore(url)


def test_a_number_has_no_names_below_it(server: Server, place: str) -> None:
    with pytest.raises(Invalid, match=r"path_style=false puts the bucket before the host's name"):
        BucketCore(server.url(place, path_style="false"))
