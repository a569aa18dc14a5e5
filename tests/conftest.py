"""What holds for all tests, and real stores of objects for those that need one.

Property tests try the same examples every time, so that a pass is a pass on any machine; to look
for new ones: ``pytest --hypothesis-profile search``.
"""

import atexit
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import count

import pytest
from hypothesis import settings

from manyfit.pipeline.objects.path import ObjectPath
from manyfit.solver.simd.cache import VARIABLE
from tests.object_stores import (
    BUCKET,
    Google,
    azurite_server,
    environment,
    free_port,
    moto_server,
    proxy,
)

settings.register_profile("manyfit", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("manyfit")

if VARIABLE not in os.environ:  # else this is a process of a run that has set it
    os.environ[VARIABLE] = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, os.environ[VARIABLE])

if threading.current_thread() is threading.main_thread():
    # A shell has Ctrl-C ignored by what it starts in the background, and so by runs of these tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def ports() -> Iterator[Mapping[str, int]]:
    """Where stores will be for this process and its workers, once a test needs them."""
    found = {scheme: free_port() for scheme in ("s3", "gs", "az")}
    with pytest.MonkeyPatch.context() as patch:
        for scheme, port in found.items():
            for name, value in environment(port, scheme).items():
                patch.setenv(name, value)
        yield found


@pytest.fixture(scope="session")
def s3(ports: Mapping[str, int]) -> Iterator[int]:
    """A real server of objects: its port."""
    with moto_server(ports["s3"]):
        yield ports["s3"]


@pytest.fixture(scope="session")
def gs(ports: Mapping[str, int], s3: int) -> Iterator[int]:
    """The same in the words of Google: its port."""
    with proxy(ports["gs"], s3, dialect=Google):
        yield ports["gs"]


@pytest.fixture(scope="session")
def az(ports: Mapping[str, int]) -> Iterator[int]:
    """A real server of Azure's objects: its port."""
    with azurite_server(ports["az"]):
        yield ports["az"]


_folders = count()


@pytest.fixture
def folder_on(request: pytest.FixtureRequest) -> Callable[[str], ObjectPath]:
    """Return a call that gives a folder of a bucket, with nothing in it, on a store by its name."""

    def folder(scheme: str) -> ObjectPath:
        port = request.getfixturevalue(scheme)
        assert environment(port, scheme).items() <= os.environ.items()
        return ObjectPath.of(f"{scheme}://{BUCKET}/test {next(_folders)}")

    return folder


@pytest.fixture
def folder(request: pytest.FixtureRequest, folder_on: Callable[[str], ObjectPath]) -> ObjectPath:
    """A folder of a bucket, with nothing in it: on S3, unless a test asks for another store."""
    return folder_on(getattr(request, "param", "s3"))
