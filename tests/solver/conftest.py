"""Both engines under the same tests."""

from collections.abc import Iterator

import pytest

from manyfit.solver.compiled import Compiled


@pytest.fixture(scope="module", params=["compiled", "reference"])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Fit with the compiled engine where it can, then with the reference engine alone."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "reference":
            patch.setattr(Compiled, "for_batch", classmethod(lambda *_: None))
        yield request.param
