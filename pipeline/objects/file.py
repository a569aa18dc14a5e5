"""An object as a file: read in ranges, all of one version.

A reader of Parquet begins at the end, where the footer is. So the end is fetched first, and with
it size and version: planning takes one request a file, and every later one is on the condition that
the object is still the same.
"""

import io
from itertools import pairwise
from typing import TYPE_CHECKING

from ..places import each
from .path import ObjectPath
from .stores import asked

if TYPE_CHECKING:
    from obstore import GetOptions

TAIL_BYTES = 1 << 16
"""Fetched at once from the end of an object: the footer of most files, in one request."""

PIECE_BYTES = 1 << 22
"""Fetched with one request, and as much with others at the same time: stores give a connection
about 100 MB/s, and a host much more."""


class ObjectFile(io.RawIOBase):
    """An object, open to be read.

    Parameters
    ----------
    path
        Which.

    Attributes
    ----------
    n_bytes, e_tag
        Its size and version.

    Raises
    ------
    FileNotFoundError
        When there is none.
    OSError
        When it is not what it was when it was listed; when it changes while it is read.
    """

    def __init__(self, path: ObjectPath) -> None:
        super().__init__()
        seen = path.listed or path.stat()
        self.n_bytes, self.e_tag = seen.st_size, seen.e_tag
        self._path, self._at = path, 0
        self._tail_at = max(0, self.n_bytes - TAIL_BYTES)
        self._tail = self._fetch(self._tail_at, self.n_bytes)

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read anywhere: yes."""
        return True

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere else; nothing is fetched."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.n_bytes}[whence]
        self._at = origin + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes, fewer only at the end."""
        wanted = self.n_bytes if size is None or size < 0 else self._at + size
        start, self._at = self._at, max(self._at, min(wanted, self.n_bytes))
        if start >= self._tail_at:
            return self._tail[start - self._tail_at : self._at - self._tail_at]
        return self._fetch(start, self._at)

    def _fetch(self, start: int, stop: int) -> bytes:
        """Fetch a range: a long one in pieces, many at a time."""
        if stop - start <= PIECE_BYTES:
            return self._piece(start, stop) if start < stop else b""
        edges = [*range(start, stop, PIECE_BYTES), stop]
        return b"".join(each(self._path, lambda piece: self._piece(*piece), pairwise(edges)))

    def _piece(self, start: int, stop: int) -> bytes:
        """Fetch a range with one request, of the version that was seen at first."""
        from obstore.exceptions import PreconditionError  # noqa: PLC0415 - optional

        part: GetOptions = {"range": (start, stop), "if_match": self.e_tag}
        path = self._path
        try:
            return asked(path, lambda: bytes(path.store.get(path.key, options=part).bytes()))
        except PreconditionError as error:
            raise OSError(
                f"{self._path} has changed since the data set was opened: start again"
            ) from error
