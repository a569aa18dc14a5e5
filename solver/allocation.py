"""Keep the C allocator from handing memory back between array operations.

The engine works in arrays of about a megabyte that live for one operation. Left alone, glibc gives
such blocks back to the kernel as soon as they are free, and the next operation pays for fresh
pages: four fifths of the time of a Householder reflection. Dask's workers make it worse by asking
for a threshold of 64 KiB. So at the first fit of a process the thresholds are set to what glibc
itself would raise them to at most: at most 64 MiB of free memory stay with the process.
Other C libraries have no ``mallopt``, and are left as they are.
"""

import ctypes
import sys
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MMAP_THRESHOLD_BYTES = 32 << 20


@cache
def keep_freed_memory() -> None:
    """Let the allocator keep blocks of up to 32 MiB for reuse; once a process."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
        mallopt(_M_TRIM_THRESHOLD, 2 * _MMAP_THRESHOLD_BYTES)
