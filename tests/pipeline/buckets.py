"""Folders of buckets, and the stores that have them."""

from pathlib import Path

import pytest

from manyfit.pipeline.objects.path import ObjectPath

on_every_store = pytest.mark.parametrize("folder", ["s3", "gs", "az"], indirect=True)

START = {"a": 1.0, "b": 1.0, "c": 1.0}
"""Where decays begin."""

NOWHERE = "tcp://127.0.0.1:9"
"""No scheduler is there: a run that needs workers fails."""


def upload(folder: Path, to: ObjectPath) -> str:
    """Copy a folder to a bucket, and return its URL."""
    for path in folder.rglob("*"):
        if path.is_file():
            (to / path.relative_to(folder).as_posix()).upload(path)
    return str(to)
