"""The symbols that stand for arrays and numbers while a function is traced."""

import numpy as np
import pytest

from manyfit.solver.graph.nodes import Node
from manyfit.solver.graph.tracer import RefusalError, Tracer, as_node


def test_a_tracer_shows_its_name() -> None:
    x = Tracer(Node("predictor", name="x"), borrowed=True)
    assert repr(x) == "<symbol x>"
    assert repr(x + 1) == "<symbol add>"
    assert x.dtype == np.float64
    assert not hasattr(x, "__array_interface__")


def test_only_numbers_become_nodes() -> None:
    assert as_node(np.array([[2.0]])).value == 2.0
    assert as_node(True).logical  # noqa: FBT003
    with pytest.raises(RefusalError, match="a dict"):
        as_node({})
    with pytest.raises(RefusalError, match=r"an integer beyond 1[.]8e308: 100000000[.]"):
        as_node(10**400)
