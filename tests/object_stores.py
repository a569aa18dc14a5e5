"""Real servers of objects for tests, and a proxy that disturbs, counts, disarms and translates.

S3 is moto and SeaweedFS, Azure is Azurite. No server of Google's protocol keeps to conditions
where tests can have it (fake-gcs-server puts whatever the condition, and has no PUT of the XML API;
gcp-storage-emulator has no XML API), so Google is moto behind a proxy that translates.
"""

import base64
import hmac
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import formatdate
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, NoReturn
from urllib.parse import unquote
from urllib.request import Request, urlopen

import pytest

BUCKET = "manyfit-tests"
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""Of the emulator, the same everywhere."""


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def environment(port: int, scheme: str = "s3") -> dict[str, str]:
    """Return what makes a server on a port the store of whoever has it in its environment."""
    url = f"http://127.0.0.1:{port}"
    if scheme == "gs":
        return {"GOOGLE_BASE_URL": url, "GOOGLE_BEARER_TOKEN": "tests"}
    if scheme == "az":
        return {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": url}
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_REGION": "us-east-1",
    }


def program(name: str, install: str = "pip install 'manyfit[dev]'") -> str:
    """Return where a server is."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or lacking(name, install)


def lacking(name: str, install: str = "pip install 'manyfit[dev]'") -> NoReturn:
    """Skip a test that lacks a server, or let it fail where CI is set."""
    message = f"{name} is not installed: {install}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def moto_server(port: int) -> Iterator[None]:
    """Run moto, whose bucket gives each content of a key a version of its own.

    It looks at conditions and writes without a lock in between: its threads change hands where they
    wait, not in the middle of a request, or two of thirty may hold to one condition.
    """
    if find_spec("moto") is None:
        lacking("moto_server")
    atomic = "import sys; sys.setswitchinterval(60); from moto.server import main; main()"
    words = [sys.executable, "-c", atomic, "-H", "127.0.0.1", "-p", str(port)]
    with running(words, port):
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
    # Else two servers of one host are at odds over ports that nobody uses here.
    words += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    with running([*words, f"-s3.port={port}", "-volume.max=10"], port) as process:
        until(lambda: is_ready(port), process)
        yield


@contextmanager
def azurite_server(port: int) -> Iterator[None]:
    """Run Azurite, which holds what it has in memory."""
    install = f"npm install --global --prefix {sys.prefix} azurite@3"
    words = [program("azurite-blob", install), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    with running([*words, "--inMemoryPersistence", "--disableTelemetry", "--silent"], port):
        make_container(port)
        yield


def make_container(port: int) -> None:
    """Ask Azurite for a container, by a request that is signed with the key of the account."""
    path = f"/{AZURE_ACCOUNT}/{BUCKET}"
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
    lines = [f"{name}:{value}" for name, value in headers.items()]
    text = "\n".join(["PUT", *[""] * 11, *lines, f"/{AZURE_ACCOUNT}{path}", "restype:container"])
    key = hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), "sha256")
    headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(key).decode()}"
    url = f"http://127.0.0.1:{port}{path}?restype=container"
    urlopen(Request(url, method="PUT", headers=headers), timeout=60).close()


def is_ready(port: int) -> bool:
    """Whether a server that is starting has a bucket now."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        administrator(port).create_bucket(Bucket=BUCKET)
    except (BotoCoreError, ClientError):
        return False
    return True


@contextmanager
def running(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until this ends; it listens when it is given."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: listens(port), process)
        yield process
    finally:
        process.kill()
        process.wait(timeout=30)


def until(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for a server, half a minute at most, and not for one that has ended."""
    end = time.monotonic() + 30
    while not ready():
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        assert time.monotonic() < end, f"{process.args!r} is not ready"
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether somebody takes connections."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def administrator(port: int) -> Any:
    """Return a client of a server that may make buckets: another than the one that is tested."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        lacking("boto3")
    given = environment(port)
    return boto3.client(
        "s3",
        endpoint_url=given["AWS_ENDPOINT_URL"],
        region_name=given["AWS_REGION"],
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}),
    )


HARMS = ("500", "503", "slow", "reset", "lost")
"""An error of the server; a delay; a connection that breaks before, or after, the server has done
what it was asked to do."""


KEY_ID = re.compile(r"Credential=([^/]+)/")


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
    dialect
        What translates requests, if anything does.

    Attributes
    ----------
    seen
        How many requests there were, by method; and by harm.
    at_once
        How many were under way at a time, at most.
    bytes_read
        What the server has answered to GET.
    signers
        Ids of the keys that requests were signed with, in the order in which they came.
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
        dialect: "type[Proxied] | None" = None,
    ) -> None:
        super().__init__(("127.0.0.1", port), dialect or Proxied)
        self.target, self.share, self.harms = target, share, harms
        self.drop_headers = drop_headers
        self.dice = random.Random(seed)
        self.seen: Counter[str] = Counter()
        self.at_once = self.under_way = self.bytes_read = 0
        self.lock = threading.Lock()
        self.signers: dict[str, None] = {}

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
            proxy.signers |= dict.fromkeys(KEY_ID.findall(self.headers.get("Authorization", "")))
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
                answer = self.forwarded(self.command, body, dict(self.headers.items()))
                self.reset() if harm == "lost" else self.answer(*answer)
                with proxy.lock:
                    proxy.bytes_read += len(answer[2]) if self.command == "GET" else 0
        finally:
            with proxy.lock:
                proxy.under_way -= 1

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_request  # noqa: N815 - http.server's

    def forwarded(
        self, method: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return what the server answers."""
        dropped = {name.lower() for name in self.server.drop_headers}
        kept = {k: v for k, v in headers.items() if k.lower() not in dropped}
        connection = HTTPConnection("127.0.0.1", self.server.target, timeout=60)
        try:
            connection.request(method, self.path, body, kept)
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


FIRST_GENERATION = 10**15
"""Google counts microseconds."""


class Google(Proxied):
    """One connection to Google's XML API, which is that of S3 but for what a version is.

    There each content of a key has a number, its generation, which conditions name. Here it stands
    for the version that moto has given, and a condition for its ETag, which equal contents share.
    What is not there cannot be deleted.
    """

    generations: ClassVar[dict[str, tuple[str, str]]] = {}
    """Number and ETag of each version."""

    def forwarded(
        self, method: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return what the server answers."""
        self.path = re.sub("^/[^/?]+", lambda bucket: unquote(bucket[0]), self.path)
        translated = dict(headers)
        wanted = translated.pop("x-goog-if-generation-match", None)
        if wanted == "0":
            translated["If-None-Match"] = "*"
        elif wanted is not None:
            translated["If-Match"] = dict(self.generations.values()).get(wanted, '"none"')
        if method == "DELETE":
            there = super().forwarded("HEAD", b"", translated)
            if there[0] == 404:
                return there
        status, told, content = super().forwarded(method, body, translated)
        named = {name.lower(): value for name, value in told.items()}
        version, e_tag = named.get("x-amz-version-id"), named.get("etag")
        if version is None or e_tag is None:
            return status, told, content
        with self.server.lock:
            number = str(FIRST_GENERATION + len(self.generations))
            number, _ = self.generations.setdefault(version, (number, e_tag))
        return status, {**told, "x-goog-generation": number}, content


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
