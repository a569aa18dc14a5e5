"""The public face: names that exist, load late, and drag nothing in that they do not need."""

import importlib.metadata
import subprocess
import sys

import pytest

import manyfit


def test_every_public_name_can_be_had() -> None:
    assert list(manyfit.__all__) == sorted(manyfit.__all__)
    for name in manyfit.__all__:
        assert getattr(manyfit, name) is not None
    assert dir(manyfit) == manyfit.__all__


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fit_curve'"):
        _ = manyfit.fit_curve


def test_version_is_that_of_the_distribution() -> None:
    assert manyfit.__version__ == importlib.metadata.version("manyfit")


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import manyfit", ["numpy", "dask", "distributed", "pyarrow", "xarray", "pandas"]),
        ("from manyfit import fit_table, fit_dataframe", ["xarray", "pandas", "polars", "zarr"]),
        ("import manyfit.solver", ["dask", "distributed", "pyarrow"]),
        ("from manyfit import *", []),
        (
            "from manyfit import fit_curves, leastsq, curve_fit, Model",
            ["dask", "distributed", "pyarrow", "zarr", "scipy", "click", "rich"],
        ),
    ],
)
def test_imports_load_no_more_than_they_need(statement: str, absent: list[str]) -> None:
    code = f"import sys; {statement}; print([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
