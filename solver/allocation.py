"""Keep the C allocator from handing memory back between array operations.

Left alone, glibc gives blocks back to the kernel as soon as they are free, and the next operation
pays for fresh pages: four fifths of the time of a Householder reflection in arrays of a megabyte.
Dask makes it worse by asking for a threshold of 64 KiB in its workers: a fifth of the time of one
whose curves are compiled. Other C libraries have no ``mallopt``, and are left as they are.
"""

import ctypes
import os
import sys
from functools import cache

OF_WORKERS = {"MALLOC_TRIM_THRESHOLD_": "65536"}
"""What Dask sets for its workers, unless somebody has chosen something else."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_kept = 0


@cache
def keep_freed_memory() -> None:
    """Let the allocator keep blocks of up to 32 MiB, 64 MiB at most; once a process.

    That is what glibc itself would raise its thresholds to at most.
    """
    _keep(32 << 20, 64 << 20)


@cache
def keep_memory_of_results() -> None:
    """Do the same for an engine that has few arrays; once a process.

    Workers of Dask, whose memory is counted, keep blocks of up to 1 MiB, 8 MiB at most: enough for
    the arrays of a batch, and little beside the data.
    """
    if OF_WORKERS.items() <= os.environ.items():
        _keep(1 << 20, 8 << 20)
    else:
        keep_freed_memory()


def _keep(block_bytes: int, all_bytes: int) -> None:
    """Set the thresholds, unless they are larger."""
    global _kept  # noqa: PLW0603 - the allocator is the process's, too
    if sys.platform != "linux" or block_bytes <= _kept:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, block_bytes)
        mallopt(_M_TRIM_THRESHOLD, all_bytes)
    _kept = block_bytes
