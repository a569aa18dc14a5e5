"""Keep the C allocator from handing memory back between array operations.

Left alone, or as Dask asks for in its workers (a threshold of 64 KiB), glibc gives blocks back to
the kernel as soon as they are free, and the next operation pays for fresh pages: four fifths of the
time of a Householder reflection in arrays of a megabyte, a fifth of that of a worker whose curves
are compiled. Other C libraries have no ``mallopt``, and are left as they are.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_kept = 0


def keep_freed_memory(block_bytes: int = 32 << 20, all_bytes: int = 64 << 20) -> None:
    """Let the allocator keep what is freed for reuse; in a process the largest call holds.

    Parameters
    ----------
    block_bytes
        Larger blocks are handed back at once. Default: what glibc itself would raise it to.
    all_bytes
        What stays at most, for each thread.
    """
    global _kept  # noqa: PLW0603 - the allocator is one for the process, too
    if sys.platform != "linux" or block_bytes <= _kept:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, block_bytes)
        mallopt(_M_TRIM_THRESHOLD, all_bytes)
    _kept = block_bytes
