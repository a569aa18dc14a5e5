"""Machine code that is made once for all workers of this machine.

Compiling a model takes as long as fitting a hundred thousand curves, and each worker would do it
before its first ones. So it is done where the run is, while the workers start.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from distributed import WorkerPlugin

from ..solver.simd.compiling import object_code, take_object_code
from .execution import Work
from .table import fit_rows


class MachineCode(WorkerPlugin):
    """Hands machine code to workers, those that come later too."""

    def __init__(self, objects: Mapping[bytes, bytes]) -> None:
        self._objects = objects

    def setup(self, worker: Any) -> None:  # noqa: ARG002 - what Dask calls it with
        """Take it over in the worker's process."""
        take_object_code(self._objects)


@contextmanager
def compiled_ahead(work: Work) -> Iterator[Callable[[], MachineCode]]:
    """Compile in a thread what the first curves need; give a call that waits for it.

    Curves that need something else (of unequal length where the first ones are equal, say) have
    it compiled by each worker.
    """
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(_compiled, work).result


def _compiled(work: Work) -> MachineCode:
    """Fit the first curves, one evaluation each."""
    if work.model.graph is not None and work.options.engine != "reference":
        fit_rows(work.first, work.model, replace(work.options, maxfev=1), work.schema)
    return MachineCode(object_code())
