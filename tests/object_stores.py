"""Real S3 servers for tests, and a proxy before them that disturbs, counts and disarms requests."""

import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import pytest

BUCKET = "manyfit-tests"


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def environment(port: int) -> dict[str, str]:
    """Return what makes a server on a port the S3 of whoever has it in its environment."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_REGION": "us-east-1",
    }


def program(name: str) -> str:
    """Return where a server is."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or lacking(name)


def lacking(name: str) -> NoReturn:
    """Skip a test that lacks a server, or let it fail where CI is set."""
    message = f"{name} is not installed: pip install 'manyfit[dev]'"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def moto_server(port: int) -> Iterator[None]:
    """Run moto, whose bucket gives each content of a key a version of its own."""
    with running([program("moto_server"), "-H", "127.0.0.1", "-p", str(port)], port):
        s3 = administrator(port)
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield


@contextmanager
def seaweed_server(port: int, folder: Path) -> Iterator[None]:
    """Run SeaweedFS, a store on a disk."""
    ports = {name: free_port() for name in ("master", "volume", "filer")}
    words = [program("weed"), "server", "-ip", "127.0.0.1", "-dir", str(folder), "-s3"]
    words += [f"-{name}.port={n}" for name, n in ports.items()]
    words += [f"-{name}.port.grpc={free_port()}" for name in (*ports, "s3")]
    with running([*words, f"-s3.port={port}", "-volume.max=10"], port):
        for _ in range(100):
            if is_ready(port):
                break
            time.sleep(0.2)
        yield


def is_ready(port: int) -> bool:
    """Whether a server that is starting has a bucket now."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        administrator(port).create_bucket(Bucket=BUCKET)
    except (BotoCoreError, ClientError):
        return False
    return True


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """Run a server until this ends."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait(timeout=30)


def administrator(port: int) -> Any:
    """Return a client of a server that may make buckets: another than the one that is tested."""
    try:
        import boto3
    except ImportError:
        lacking("boto3")
    given = environment(port)
    return boto3.client(
        "s3",
        endpoint_url=given["AWS_ENDPOINT_URL"],
        region_name=given["AWS_REGION"],
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
    )


HARMS = ("500", "503", "slow", "reset", "lost")
"""An error of the server; a delay; a connection that breaks before, or after, the server has done
what it was asked to do."""


class Proxy(ThreadingHTTPServer):
    """A proxy that does some requests harm, by the throw of a dice.

    Parameters
    ----------
    port, target
        Where it listens, and where the server does.
    seed, share, harms
        Of the dice, the share of requests that come to harm, and to which.
    drop_headers
        Headers that the server does not get to see.

    Attributes
    ----------
    seen
        How many requests there were, by method; and by harm.
    at_once
        How many were under way at a time, at most.
    bytes_read
        What the server has answered to GET.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        port: int,
        target: int,
        *,
        seed: int = 0,
        share: float = 0.0,
        harms: tuple[str, ...] = HARMS,
        drop_headers: tuple[str, ...] = (),
    ) -> None:
        super().__init__(("127.0.0.1", port), Proxied)
        self.target, self.share, self.harms = target, share, harms
        self.drop_headers = drop_headers
        self.dice = random.Random(seed)
        self.seen: Counter[str] = Counter()
        self.at_once = self.under_way = self.bytes_read = 0
        self.lock = threading.Lock()

    def harm(self) -> str:
        """Throw the dice."""
        with self.lock:
            return self.dice.choice(self.harms) if self.dice.random() < self.share else ""

    def handle_error(self, *_: Any) -> None:
        """Say nothing of connections that clients have left."""


class Proxied(BaseHTTPRequestHandler):
    """One connection to the proxy."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def handle_request(self) -> None:
        """Pass one request on, or do it harm."""
        proxy = self.server
        harm = proxy.harm()
        with proxy.lock:
            proxy.seen.update([self.command, *([harm] if harm else [])])
            proxy.under_way += 1
            proxy.at_once = max(proxy.at_once, proxy.under_way)
        try:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if harm == "slow":
                time.sleep(0.5)
            if harm == "reset":
                self.reset()
            elif harm.isdigit():
                self.answer(int(harm), {}, b"")
            else:
                answer = self.forwarded(body)
                self.reset() if harm == "lost" else self.answer(*answer)
                with proxy.lock:
                    proxy.bytes_read += len(answer[2]) if self.command == "GET" else 0
        finally:
            with proxy.lock:
                proxy.under_way -= 1

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_request  # noqa: N815 - http.server's

    def forwarded(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Return what the server answers."""
        dropped = {name.lower() for name in self.server.drop_headers}
        headers = {k: v for k, v in self.headers.items() if k.lower() not in dropped}
        connection = HTTPConnection("127.0.0.1", self.server.target, timeout=60)
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Answer the client."""
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        of_head = headers.get("Content-Length", headers.get("content-length", "0"))
        length = of_head if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)

    def reset(self) -> None:
        """Break the connection."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def proxy(port: int, target: int, **settings: Any) -> Iterator[Proxy]:
    """Run a proxy until this ends."""
    with Proxy(port, target, **settings) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
