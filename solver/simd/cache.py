"""Machine code on disk, so that the next process need not compile it.

An entry is known by all that it was made of, and has a hash of itself: one that is torn is as good
as none. Whatever else is wrong with the folder - it cannot be made, it is full - costs time only.

It is where the platform has such things, ~/.cache/manyfit on Linux. MANYFIT_CACHE_DIR names
another one; if that is empty there is none.
"""

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from tempfile import NamedTemporaryFile

VARIABLE = "MANYFIT_CACHE_DIR"
MOST = 500
"""Entries that are kept; of more, those written first go. A decay's three have 30 kB."""
SUFFIX = ".manyfit-code"
_HASH_BYTES = 16


def load(name: str) -> bytes | None:
    """Return the code of this name, None if there is none."""
    folder = _folder()
    if folder is None:
        return None
    try:
        content = (folder / f"{name}{SUFFIX}").read_bytes()
    except OSError:
        return None
    code = content[_HASH_BYTES:]
    return code if content[:_HASH_BYTES] == _hash(code) else None


def save(name: str, code: bytes) -> None:
    """Keep code under a name, whole or not at all."""
    folder = _folder()
    if folder is None:
        return
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=name, suffix=SUFFIX, delete=False) as file:
            try:
                file.write(_hash(code) + code)
                file.close()
                Path(file.name).replace(folder / f"{name}{SUFFIX}")
            except OSError:
                Path(file.name).unlink()
                raise
        _make_room(folder)


def _folder() -> Path | None:
    """Return where entries are kept, if anywhere."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return Path(given) if given else None
    from platformdirs import user_cache_path  # noqa: PLC0415 - most processes compile nothing

    try:
        place = user_cache_path("manyfit", appauthor=False)
    except RuntimeError:  # a user without a home, as in some containers
        return None
    return place if place.is_absolute() else None  # the same, as older versions say it


def _make_room(folder: Path) -> None:
    """Remove the oldest entries, a fifth at a time, when there are too many."""
    entries = [entry for entry in os.scandir(folder) if entry.name.endswith(SUFFIX)]
    if len(entries) <= MOST:
        return
    entries.sort(key=lambda entry: entry.stat().st_mtime_ns)
    for entry in entries[: len(entries) - 4 * MOST // 5]:
        Path(entry.path).unlink(missing_ok=True)


def _hash(code: bytes) -> bytes:
    """Return what a torn entry does not have."""
    return blake2b(code, digest_size=_HASH_BYTES).digest()
