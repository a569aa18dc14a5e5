"""Places: files and folders of a disk, or of an object store, as people name them.

    a path, file://...                  a `pathlib.Path`
    s3://, gs://, az://, abfs(s)://     an `ObjectPath`, which behaves alike

What is written comes into being whole or not at all. On a disk it is written under a temporary name
in the same folder, flushed, and renamed; in a store an object is there when all of it is.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import uuid4

from .errors import StoreError
from .objects.path import ObjectPath
from .objects.stores import SCHEMES, is_object_url

Place: TypeAlias = Path | ObjectPath

AnyPlace: TypeAlias = str | os.PathLike[str] | ObjectPath
"""What names a place."""

TEMPORARY_SUFFIX = ".tmp"

REQUESTS = 32
"""How many requests to a store are under way at a time, where each is a round trip and no work."""

T = TypeVar("T")
U = TypeVar("U")


def place_of(given: AnyPlace) -> Place:
    """Return the place that a path or a URL names; paths become absolute.

    Raises
    ------
    StoreError
        When a URL is of another kind, has no bucket, or was made a `pathlib.Path`, which takes one
        of its slashes away.
    """
    if isinstance(given, ObjectPath):
        return given
    text = os.fspath(given)
    if is_object_url(text):
        path = ObjectPath.of(text)
        if path.bucket.endswith("://"):
            raise StoreError(f"the URL {text!r} names no bucket: expected {text}bucket/folder")
        return path
    scheme, separator, _ = text.partition("://")
    if scheme == "file" and separator:
        return Path(url2pathname(urlsplit(text).path)).absolute()
    if separator and scheme.isalnum():
        known = ", ".join(f"{s}://" for s in (*SCHEMES, "file"))
        raise StoreError(f"{text!r}: what begins with {scheme}:// cannot be used; expected {known}")
    head, _, rest = text.partition(":/")
    if not isinstance(given, str) and head in SCHEMES:
        raise StoreError(
            f"{text!r} is a URL that was made a path and has lost a slash: give it as a str, "
            f"'{head}://{rest}'"
        )
    return Path(text).absolute()


def is_place(text: str) -> bool:
    """Whether a text is a path, or a URL that `place_of` knows."""
    return "://" not in text or is_object_url(text) or text.startswith("file://")


def lies_in(place: Place, folder: Place) -> bool:
    """Whether a place is a folder, or in it."""
    if isinstance(place, Path) and isinstance(folder, Path):
        return place.is_relative_to(folder)
    return f"{place}/".startswith(f"{folder}/")


def each(place: Place, work: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """Do some work for every item, in order: in a store many at a time, since they wait for it."""
    if isinstance(place, Path):
        yield from map(work, items)
        return
    with ThreadPoolExecutor(max_workers=REQUESTS) as pool:
        yield from pool.map(work, items)


@contextmanager
def written_whole(place: Place) -> Iterator[Path]:
    """Give the path of a temporary file to write to; it becomes `place` at the end, or vanishes."""
    if isinstance(place, ObjectPath):
        with tempfile.TemporaryDirectory(prefix="manyfit-") as folder:
            spooled = Path(folder) / place.name
            yield spooled
            place.upload(spooled)
        return
    temporary = place.with_name(f".{place.name}.{uuid4().hex[:12]}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        flush(temporary)
        temporary.replace(place)
        flush(place.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush(place: Place) -> None:
    """Have a file, or the names in a folder, on the disk before going on; objects are."""
    if isinstance(place, ObjectPath):
        return
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
