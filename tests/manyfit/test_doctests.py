"""Every example in a docstring does what it says."""

import doctest
import importlib
import pkgutil

import pytest

import manyfit

MODULES = [
    m.name for m in pkgutil.walk_packages(manyfit.__path__, "manyfit.") if "__main__" not in m.name
]


def test_modules_are_found() -> None:
    assert {"manyfit.solver.batch", "manyfit.pipeline.run", "manyfit.workflows.cli"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
