"""Pickling a model so that workers can load it, wherever its function comes from.

A function of a notebook or of ``__main__`` travels by value with cloudpickle. So does, here, one
from a module that is not installed: a ``models.py`` beside the script is not to be found from a
worker that runs elsewhere.
"""

import pickle
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from ..solver.model import Model

_OWN_PACKAGE = __name__.partition(".")[0]


def packed(task: Any, model: Model) -> bytes:
    """Pickle a task once for all its partitions.

    Raises
    ------
    TypeError
        When the model refers to something that cannot be pickled.
    """
    modules = [m for f in (model.func, model.jac, model.guess) if (m := _travelling(f))]
    try:
        with _by_value(modules):
            return bytes(cloudpickle.dumps(task))
    except Exception as error:
        raise TypeError(
            f"model {model.name!r} cannot be sent to workers: {error}. Its function must not refer "
            "to open files, locks or other things that belong to one process"
        ) from error


@lru_cache(maxsize=8)
def unpacked(payload: bytes) -> Any:
    """Unpickle what `packed` made, once a process: what the solver keeps by model is kept."""
    return pickle.loads(payload)  # noqa: S301 - our own, of the process that planned the work


@contextmanager
def _by_value(modules: list[ModuleType]) -> Iterator[None]:
    """Have functions of some modules pickled with their code."""
    fresh = [m for m in modules if m.__name__ not in cloudpickle.list_registry_pickle_by_value()]
    for module in dict.fromkeys(fresh):
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in dict.fromkeys(fresh):
            cloudpickle.unregister_pickle_by_value(module)


def _travelling(func: Any) -> ModuleType | None:
    """Return the module or package of a function that workers may not have."""
    name = getattr(func, "__module__", None) or type(func).__module__
    top = name.partition(".")[0]
    if top in {"__main__", _OWN_PACKAGE}:
        return None
    found = (sys.modules.get(n) for n in (top, name))
    module = next((m for m in found if getattr(m, "__file__", None)), None)
    if module is None:  # built in
        return None
    place = Path(str(module.__file__))
    installed = {sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")}
    return None if any(place.is_relative_to(folder) for folder in installed) else module
