"""What kernels of the tests are made for: nothing but what a test asks for."""

from typing import Any

from manyfit import Model
from manyfit.solver.simd.machine import Machine
from manyfit.solver.simd.specification import Specification


def specified(model: Model, machine: Machine, **changes: Any) -> Specification:
    """Return the kernel that fits all parameters to float64 of equal length, with shared x."""
    assert model.graph is not None
    given: dict[str, Any] = {
        "shared": (True,) * len(model.predictors),
        "even": (False,) * len(model.predictors),
        "single": (False,),
        "weighted": False,
        "ragged": False,
        "bounded": False,
        "scaled": False,
    }
    return Specification(graph=model.graph, free=model.params, machine=machine, **(given | changes))
