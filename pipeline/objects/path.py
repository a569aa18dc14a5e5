"""One object of a bucket, or the folder of all objects whose keys begin alike.

`ObjectPath` has the names and meanings of `pathlib.Path`, as far as input and output need them, so
that code for results reads the same for both. What a local disk has and a store has not is a
rename; what a store has are conditions: `create` puts an object unless there is one, `swap` puts it
if the one there is still that which was seen. An object is there whole or not at all.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias
from urllib.parse import quote

from google_crc32c import extend

from .stores import asked, check_installed, store_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from .file import ObjectFile


Version: TypeAlias = Mapping[str, str]
"""What tells one content of a key from another, in the words of the store: e_tag, version."""


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """What a store says of an object.

    Attributes
    ----------
    st_size, st_mtime
        As `os.stat` calls them: bytes, and seconds of the epoch by the clock of the store.
    e_tag
        What tells one content of a key from another.
    """

    st_size: int
    st_mtime: float
    e_tag: str


@dataclass(frozen=True, slots=True)
class ObjectPath:
    """An object, or a folder of objects; it need not be there.

    Attributes
    ----------
    bucket
        Its URL, such as ``s3://name``.
    key
        Within the bucket, without slashes at its ends; "" is the bucket itself.
    listed
        What was seen of the object when it was listed, if it was.
    """

    bucket: str
    key: str
    listed: ObjectStat | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the object that a URL names; the key stands in it as it is, not encoded.

        Raises
        ------
        StoreError
            When obstore, which reaches it, is not installed.
        """
        check_installed(url)
        scheme, _, rest = url.partition("://")
        name, _, key = rest.partition("/")
        return cls(f"{scheme}://{name}", key.strip("/"))

    def __str__(self) -> str:
        """Write the URL."""
        return f"{self.bucket}/{self.key}".rstrip("/")

    def __truediv__(self, name: str) -> "ObjectPath":
        """Return what is called so in this folder."""
        return ObjectPath(self.bucket, f"{self.key}/{name}".strip("/"))

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the key."""
        return tuple(self.key.split("/"))

    @property
    def parent(self) -> "ObjectPath":
        """The folder."""
        return ObjectPath(self.bucket, self.key.rpartition("/")[0])

    @property
    def store(self) -> "ObjectStore":
        """The store of the bucket, in which all keys are whole."""
        return store_of(self.bucket)

    def stat(self) -> ObjectStat:
        """Ask the store about the object.

        Raises
        ------
        FileNotFoundError
            When there is none.
        """
        return _stat(asked(self, lambda: self.store.head(self.key)))

    def is_file(self) -> bool:
        """Whether there is an object of this key."""
        try:
            return bool(self.key) and self.stat().st_size >= 0
        except FileNotFoundError:
            return False

    exists = is_file

    def is_dir(self) -> bool:
        """Whether there are objects in this folder."""
        return next(self.iterdir(), None) is not None

    def iterdir(self) -> "Iterator[ObjectPath]":
        """Yield the objects and folders that lie here."""
        found = asked(self, lambda: self.store.list_with_delimiter(self.key or None))
        for prefix in found["common_prefixes"]:
            yield ObjectPath(self.bucket, prefix)
        for meta in found["objects"]:
            yield ObjectPath(self.bucket, meta["path"], _stat(meta))

    def glob(self, pattern: str) -> "Iterator[ObjectPath]":
        """Yield what lies here and has such a name."""
        return (path for path in self.iterdir() if fnmatchcase(path.name, pattern))

    def below(self) -> "Iterator[ObjectPath]":
        """Yield all objects of the folder and its folders: a thousand with each request."""
        for metas in asked(self, lambda: list(self.store.list(self.key or None))):
            for meta in metas:
                yield ObjectPath(self.bucket, meta["path"], _stat(meta))

    def read_bytes(self) -> bytes:
        """Return the content."""
        return self.read_version()[0]

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content as text."""
        return self.read_bytes().decode(encoding)

    def read_version(self) -> tuple[bytes, Version]:
        """Return the content, and the version that it is of."""

        def read() -> tuple[bytes, Version]:
            found = self.store.get(self.key)
            return bytes(found.bytes()), _version(found.meta)

        return asked(self, read)

    def crc32c(self) -> int:
        """Return the CRC-32C of the content, which is fetched piece by piece."""

        def read() -> int:
            found = 0
            for piece in self.store.get(self.key):
                found = extend(found, bytes(piece))
            return found

        return asked(self, read)

    def open(self, mode: Literal["rb"] = "rb") -> "ObjectFile":  # noqa: ARG002 - as of a `Path`
        """Open the object to be read here and there."""
        from .file import ObjectFile  # noqa: PLC0415 - refers to this module

        return ObjectFile(self)

    def write_bytes(self, content: bytes | bytearray) -> None:
        """Put an object, whatever was there."""
        asked(self, lambda: self.store.put(self.key, bytes(content)))

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        """Put an object of a text, whatever was there."""
        self.write_bytes(text.encode(encoding))

    def upload(self, file: Path) -> None:
        """Put the content of a file, large ones in parts that become one object at the end."""
        asked(self, lambda: self.store.put(self.key, file))

    def create(self, content: bytes) -> Version | None:
        """Put an object unless there is one; return its version, or None if there was one."""
        from obstore.exceptions import AlreadyExistsError  # noqa: PLC0415 - optional

        try:
            return _version(asked(self, lambda: self.store.put(self.key, content, mode="create")))
        except AlreadyExistsError:
            return self._version_of(content)

    def swap(self, content: bytes, version: Version) -> Version | None:
        """Put an object if there is one of this version; return its new one, or None if not."""
        from obstore.exceptions import PreconditionError  # noqa: PLC0415 - optional

        mode: Any = dict(version)
        try:
            return _version(asked(self, lambda: self.store.put(self.key, content, mode=mode)))
        except (PreconditionError, FileNotFoundError):
            return self._version_of(content)

    def unlink(self, *, missing_ok: bool = True) -> None:  # noqa: ARG002 - S3 does not tell
        """Remove the object, if it is there."""
        with suppress(FileNotFoundError):  # as others say
            asked(self, lambda: self.store.delete(self.key))

    def zarr(self, *, read_only: bool) -> Any:
        """Return the folder as a store of zarr's."""
        from zarr.storage import ObjectStore  # noqa: PLC0415 - heavy

        return ObjectStore(store_of(f"{self.bucket}/{quote(self.key)}"), read_only=read_only)

    def _version_of(self, content: bytes) -> Version | None:
        """Return the version of the object if it has this content.

        A request that was answered by nobody is sent again, and may then find what it has put
        itself: if what is there is what was to be there, it is done.
        """
        try:
            there, version = self.read_version()
        except FileNotFoundError:
            return None
        return version if there == content else None


def _stat(meta: Any) -> ObjectStat:
    """Return what a store says, as we call it; listings of Azure leave the quotes away."""
    e_tag = str(meta["e_tag"])
    quoted = e_tag if '"' in e_tag else f'"{e_tag}"'
    return ObjectStat(meta["size"], meta["last_modified"].timestamp(), quoted)


def _version(meta: Any) -> Version:
    """Return the version that a store has told."""
    return {name: meta[name] for name in ("e_tag", "version") if meta[name] is not None}
