"""A real S3 server on loopback: `rclone serve s3` over a folder, with one bucket.

It is started and stopped by who uses it, on a port that nobody has. That it does not start is a failure, never a
reason to skip: what is tested with it is promised. It may have a certificate, and look for the bucket in the host's
name.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

BUCKET = "data"
ACCESS_KEY = "treering-tests"
SECRET_KEY = "only-of-these-tests"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
SECONDS_TO_START = 30


class Certificate(NamedTuple):
    """PEM files."""

    chain: Path
    key: Path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Server:
    """A server and the folder that it serves."""

    def __init__(self, folder: Path, *, certificate: Certificate | None = None, by_host: bool = False) -> None:
        self.folder = folder
        self._options = []
        if certificate is not None:
            self._options += ["--cert", str(certificate.chain), "--key", str(certificate.key)]
        if by_host:
            self._options += ["--force-path-style=false"]
        self.scheme = "http" if certificate is None else "https"
        (folder / BUCKET).mkdir(parents=True)
        self.log = folder.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self, *, port: int | None = None) -> Self:
        """On a port that nobody has, unless it is said on which."""
        program = Path(sys.executable).parent / "rclone"
        # Another process may take the port in between: then another one is tried.
        for _ in range(3):
            self.port = port or free_port()
            command = [str(program), "serve", "s3", "--addr", f"127.0.0.1:{self.port}"]
            command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", *self._options, str(self.folder)]
            # Nothing of the user's own: no configuration, no credentials.
            own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
            own["RCLONE_CONFIG"] = os.devnull
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(command, stdout=log, stderr=log, env=own)
            if self._answers():
                return self
        raise AssertionError(f"rclone serve s3 did not start:\n{self.log.read_text()}")

    def _answers(self) -> bool:
        assert self._process is not None
        end = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < end and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            time.sleep(0.02)
        self.stop()
        return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kills it and starts it where it was. Uploads that are under way are forgotten: it has them in its memory."""
        self.stop()
        self.start(port=self.port)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def url(self, prefix: str, endpoint: str | None = None, **options: object) -> str:
        """The URL of a place in the bucket, spoken to directly or at another endpoint."""
        return place_url(prefix, endpoint or self.endpoint, **options)

    def objects(self, prefix: str = "") -> dict[str, Path]:
        """The objects below a prefix, as the folder has them: name without the prefix, file."""
        root = self.folder / BUCKET / prefix
        return {str(file.relative_to(root)): file for file in sorted(root.rglob("*")) if file.is_file()}


def place_url(prefix: str, endpoint: str, **options: object) -> str:
    more = "".join(f"&{name}={value}" for name, value in options.items())
    return f"s3://{BUCKET}/{prefix}?endpoint={endpoint}{more}"
