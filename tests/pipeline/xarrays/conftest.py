"""An image of curves as xarray holds it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.pipeline.xarrays.cubes import COLS, ROWS, T


@pytest.fixture(scope="module")
def xr(friend: Callable[[str], Any]) -> Any:
    friend("manyfit.xarray")
    return friend("xarray")


@pytest.fixture
def cube(xr: Any, values: Any) -> Any:
    """600 curves as an image, the time first."""
    return xr.DataArray(
        values.reshape(ROWS, COLS, 16).transpose(2, 0, 1),
        {
            "time": ("time", T, {"units": "ms"}),
            "row": ("row", np.arange(ROWS) * 0.5, {"units": "mm"}),
            "dose": (("row", "col"), np.arange(600.0).reshape(ROWS, COLS)),
            "plate": "P1",
            "delay": ("time", T + 1.0),
        },
        ("time", "row", "col"),
        attrs={"long_name": "signal"},
    )
