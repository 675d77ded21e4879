"""A proxy between a client and an S3 server that counts what passes, and lets go wrong what a test says.

Requests pass with the head that they have, so their signatures stay true. A fault is of the first requests that it
fits; every fault happens as often as it was asked for, and the test can see whether it did.

It is also a proxy in the sense of `http_proxy`: whatever the server is called, it passes on to the one that it has.
What is asked for by TLS it can't see, and only counts (CONNECT).
"""

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit, urlunsplit

SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
# cut: the connection ends in the middle of the request, which the server never sees.
# lost: the request happens, and its answer is lost. short: half of the answer's body comes.
# flip: one bit of the answer's body is another one. refuse: 503. slow: the answer comes late, or when the fault is
# over. twice: it happens twice, and the second answer comes.
How = Literal["cut", "lost", "short", "flip", "refuse", "slow", "twice"]


@dataclass(frozen=True)
class Request:
    """One that came: what it asked for, and how long its body was."""

    method: str
    name: str  # of the object, with the bucket
    query: dict[str, str]
    range: str | None
    bytes: int

    @property
    def part(self) -> int | None:
        """The number of the part that it sends, from 1."""
        return int(self.query["partNumber"]) if "partNumber" in self.query else None

    @property
    def is_object(self) -> bool:
        """Whether it is of one object's bytes, and not of a listing, an upload's begin or its end."""
        return not self.query


@dataclass
class Fault:
    """What goes wrong, for how many requests more."""

    how: How
    fits: Callable[[Request], bool]
    times: int
    seconds: float = 0.0
    happened: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    """Lets a slow answer come at once."""
    passed: int = 0
    """How many of those that happened have been passed on, as far as that was to be."""
    came_by_itself: bool = False
    """A slow answer came because its time was over, and not because the test let it."""


@dataclass
class Seen:
    """What passed, and what is to go wrong."""

    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, request: Request) -> Fault | None:
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.happened < fault.times and fault.fits(request):
                    fault.happened += 1
                    return fault
        return None


class Proxy:
    """Listens on loopback; `endpoint` is its URL."""

    def __init__(self, port: int) -> None:
        self.seen = Seen()
        handler = type("Handler", (_Handler,), {"seen": self.seen, "server_port": port})
        self._server = _Listening(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(
        self, how: How, fits: Callable[[Request], bool] = lambda _: True, times: int = 1, seconds: float = 0.0
    ) -> Fault:
        """From now on: the next `times` requests that fit go wrong like this."""
        fault = Fault(how, fits, times, seconds)
        self.seen.faults.append(fault)
        return fault

    def heal(self) -> None:
        """Nothing goes wrong any more. What was held happens now, whoever asked for it, and has when this returns."""
        with self.seen.lock:
            faults, self.seen.faults = self.seen.faults, []
        for fault in faults:
            fault.over.set()
        while any(fault.passed < fault.happened for fault in faults):
            time.sleep(0.001)

    def count(self, method: str, fits: Callable[[Request], bool] = lambda _: True) -> int:
        return sum(request.method == method and fits(request) for request in list(self.seen.requests))

    @contextmanager
    def counting(self) -> Iterator[list[Request]]:
        """The requests of a block, once it is over."""
        requests: list[Request] = []
        before = len(self.seen.requests)
        yield requests
        requests += self.seen.requests[before:]

    def close(self) -> None:
        self.heal()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that was cut off, or was killed, is what is tested.
        pass


def _relay(source: socket.socket, to: socket.socket) -> None:
    try:
        while piece := source.recv(1 << 16):
            to.sendall(piece)
        to.shutdown(socket.SHUT_WR)
    except OSError:
        # One of them is gone: then the other is to notice.
        for end in (source, to):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    seen: Seen
    server_port: int
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _pass(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        # Asked as a proxy of a bucket that stands in the host's name, there is none in the path.
        bucket = (url.hostname or "").partition(".")[0] if url.hostname and not url.hostname[0].isdigit() else ""
        name = f"{bucket}{url.path}".lstrip("/")
        request = Request(self.command, name, query, self.headers.get("Range"), length)
        fault = self.seen.take(request)
        try:
            self._pass_with(fault)
        finally:
            if fault is not None:
                with self.seen.lock:
                    fault.passed += 1

    def _pass_with(self, fault: Fault | None) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        how = fault.how if fault is not None else None
        if how == "cut":
            self.rfile.read(length // 2)
            self.close_connection = True
            self.connection.close()
            return
        body = self.rfile.read(length) if length else b""
        if len(body) < length:
            # Who asked is gone, in the middle of it.
            self.close_connection = True
            return
        if fault is not None and how == "slow":
            fault.came_by_itself |= not fault.over.wait(fault.seconds)
        if how == "refuse":
            self._answer(503, {"Content-Type": "application/xml"}, SLOW_DOWN)
            return
        path = urlunsplit(("", "", *url[2:]))
        for _ in range(2 if how == "twice" else 1):
            answer, content = self._asked(path, body)
        if how == "lost":
            self.close_connection = True
            self.connection.close()
            return
        if how == "flip" and content:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        heads = dict(answer.getheaders())
        self._answer(answer.status, heads, content, cut=how == "short")

    def _asked(self, path: str, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        server = http.client.HTTPConnection("127.0.0.1", self.server_port, timeout=120)
        try:
            server.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "proxy-connection"):
                    server.putheader(name, value)
            # It may answer before it has seen all of a body that it does not want.
            with suppress(ConnectionError):
                server.endheaders(body or None)
            answer = server.getresponse()
            return answer, answer.read()
        finally:
            server.close()

    def do_CONNECT(self) -> None:
        self.seen.take(Request("CONNECT", self.path, {}, None, 0))
        self.close_connection = True
        with socket.create_connection(("127.0.0.1", self.server_port)) as server:
            self.send_response_only(200)
            self.end_headers()
            back = threading.Thread(target=_relay, args=(server, self.connection), daemon=True)
            back.start()
            _relay(self.connection, server)
            back.join()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815

    def _answer(self, status: int, heads: dict[str, str], content: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        length = heads.get("Content-Length") if self.command == "HEAD" else str(len(content))
        for name, value in heads.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        # 204 has no body, and says so by itself.
        if length is not None and status != 204:
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.wfile.flush()
        if cut:
            self.close_connection = True
            self.connection.close()
