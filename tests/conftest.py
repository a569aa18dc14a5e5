"""What holds for all tests, and a real store of objects for those that need one.

Property tests try the same examples every time, so that a pass is a pass on any machine; to look
for new ones: ``pytest --hypothesis-profile search``.
"""

import os
import signal
import threading
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import settings

from manyfit.pipeline.objects.path import ObjectPath
from tests.object_stores import BUCKET, environment, free_port, moto_server

settings.register_profile("manyfit", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("manyfit")

if threading.current_thread() is threading.main_thread():
    # A shell has Ctrl-C ignored by what it starts in the background, and so by runs of these tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """Where S3 will be for this process and its workers, once a test needs it."""
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(port).items():
            patch.setenv(name, value)
        yield port


@pytest.fixture(scope="session")
def s3(s3_port: int) -> Iterator[int]:
    """A real server of objects: its port."""
    with moto_server(s3_port):
        yield s3_port


_folders = count()


@pytest.fixture
def folder(s3: int) -> ObjectPath:
    """A folder of a bucket, with nothing in it."""
    assert os.environ["AWS_ENDPOINT_URL"].endswith(str(s3))
    return ObjectPath.of(f"s3://{BUCKET}/test {next(_folders)}")
