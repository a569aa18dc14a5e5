"""Which objects a URL stands for: one, those of a folder, or those that a glob matches."""

import re
from collections.abc import Sequence
from dataclasses import replace
from glob import has_magic

from fsspec.utils import glob_translate

from ..errors import DatasetError
from .path import ObjectPath


def find_objects(path: ObjectPath, suffixes: Sequence[str]) -> list[ObjectPath]:
    """Return the objects that are meant, as folders and globs are read on a disk.

    Parameters
    ----------
    path
        An object, a folder, or a glob. What exists is meant itself, whatever signs it contains.
    suffixes
        Of data, where a folder is given.

    Raises
    ------
    DatasetError
        When there are none.
    """
    if path.is_file():
        return [replace(path, listed=path.stat())]
    base = folder_of(path)
    if base == path:
        found = [p for p in base.below() if p.suffix in suffixes and not _is_hidden(p, base)]
        wanted = f"Parquet object ({', '.join(suffixes)}) in {path}"
    else:
        pattern = re.compile(glob_translate(path.key))
        matched = [p for p in base.below() if pattern.match(p.key) and p.name[0] != "_"]
        found = [p for p in matched if not any(part[0] == "." for part in _inner(p, base))]
        wanted = f"object that matches {path}"
    if not found:
        raise DatasetError(f"there is no {wanted}{_instead(base)}")
    return sorted(found, key=lambda p: p.parts)


def folder_of(path: ObjectPath) -> ObjectPath:
    """Return the folder that a URL starts from: its own, but for a glob."""
    while has_magic(path.key):
        path = path.parent
    return path


def _is_hidden(path: ObjectPath, base: ObjectPath) -> bool:
    """Whether a name on the way from a folder says that this is no data."""
    return any(part.startswith(("_", ".")) for part in _inner(path, base))


def _inner(path: ObjectPath, base: ObjectPath) -> list[str]:
    """Return the parts of a key below a folder."""
    return path.key.removeprefix(base.key).strip("/").split("/")


def _instead(base: ObjectPath) -> str:
    """Say what there is instead."""
    there = sorted(p.name for p in base.iterdir())[:5]
    return f"; {base} has {there or 'nothing at all'}"
