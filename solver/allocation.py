"""Keep the C allocator from handing memory back between array operations.

Left alone, glibc gives blocks back to the kernel as soon as they are free, and the next operation
pays for fresh pages: four fifths of the time of a Householder reflection in arrays of a megabyte.
Dask makes it worse by asking for a threshold of 64 KiB in its workers: a fifth of the time of one
whose curves are compiled. Other C libraries have no ``mallopt``, and are left as they are.
"""

import ctypes
import os
import sys

OF_WORKERS = {"MALLOC_TRIM_THRESHOLD_": "65536"}
"""What Dask sets for its workers, unless somebody has chosen something else."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_kept = 0


def keep_freed_memory() -> None:
    """Let the allocator keep blocks of up to 32 MiB, 64 MiB at most.

    That is what glibc itself would raise its thresholds to at most.
    """
    _keep(32 << 20, 64 << 20)


def keep_memory_of_results() -> None:
    """Let a worker of Dask keep blocks of up to 1 MiB, 8 MiB at most.

    For an engine that has few arrays: enough for those of a batch, and little beside the data.
    Elsewhere glibc by itself keeps what such an engine needs.
    """
    if OF_WORKERS.items() <= os.environ.items():
        _keep(1 << 20, 8 << 20)


def _keep(block_bytes: int, all_bytes: int) -> None:
    """Set the thresholds, unless they are as large already."""
    global _kept  # noqa: PLW0603 - the allocator is the process's, too
    if sys.platform != "linux" or block_bytes <= _kept:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, block_bytes)
        mallopt(_M_TRIM_THRESHOLD, all_bytes)
    _kept = block_bytes
