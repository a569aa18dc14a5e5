"""Both engines under the same tests, and tests that are told what others were told."""

from collections.abc import Iterator

import pytest

from manyfit.solver import formulas
from manyfit.solver.compiled import Compiled


@pytest.fixture(scope="module", params=["compiled", "reference"])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Fit with the compiled engine where it can, then with the reference engine alone."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "reference":
            patch.setattr(Compiled, "for_batch", classmethod(lambda *_: None))
        yield request.param


@pytest.fixture
def forget() -> Iterator[None]:
    """Have a test told what others were told before: a warning is given once a process."""
    formulas._tell.cache_clear()
    yield
    formulas._tell.cache_clear()
