"""A model from its spec: the library, a function of the user, and what to do about all else."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from manyfit.solver.library.registry import MODELS
from manyfit.workflows.models import list_models, resolve_model

MODULE = """\
import numpy as np
from manyfit.solver.model import Model

def decay(x, a, b=1.5):
    return a * np.exp(-b * x)

def flat(x):
    return 0 * x

def tilted(t, u, k, a):
    return k * t + a * u

line = Model.from_function(lambda x, a, b: a + b * x, name="line")
RATE = 3.0

class lab:
    decay = staticmethod(decay)
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "labmodels.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "needy.py").write_text("import nosuchpackage\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("labmodels", "broken", "needy"):
        sys.modules.pop(name, None)


def test_models_of_the_library() -> None:
    assert resolve_model("gaussian").params == ("a", "mu", "s", "c")
    assert resolve_model("polynomial:2").params == ("c0", "c1", "c2")


def test_a_function_beside_the_data_is_found() -> None:
    model = resolve_model("labmodels:decay")
    assert (model.name, model.params, model.start) == ("decay", ("a", "b"), {"b": 1.5})
    assert resolve_model("labmodels:lab.decay").params == ("a", "b")


def test_a_model_object_is_taken_as_it_is() -> None:
    assert resolve_model("labmodels:line").name == "line"


def test_predictors_and_constants_are_named() -> None:
    model = resolve_model("labmodels:tilted", predictors=("t", "u"), constants=("k",))
    assert (model.predictors, model.constants, model.params) == (("t", "u"), ("k",), ("a",))


def test_a_formula_is_a_model() -> None:
    model = resolve_model("a*exp(-b*t) + k*c", predictors=("t",), constants=("k",))
    assert (model.predictors, model.constants) == (("t",), ("k",))
    assert model.params == ("a", "b", "c")
    assert model(t=0.0, k=2.0, a=3.0, b=1.0, c=0.25) == 3.5
    assert resolve_model("a/x").params == ("a",)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gausian", r"'gausian' is not in the library: did you mean gaussian\?"),
        ("zzz", r"'zzz' is not in the library: `manyfit models` lists all"),
        ("polynomial", r"'polynomial' needs its degree"),
        ("polynomial:x", r"degree of model 'polynomial' must be an integer, got 'x'"),
        ("gaussian:2", r"'gaussian' takes no argument"),
        ("a*exq(-b*x)", r"there is no function 'exq'; did you mean 'exp'\?"),
        ("a*exp(-b*t)", r"does not depend on x: if the predictor has"),
        ("__import__('os')", r"\(column"),
        ("nosuch:f", r"there is no module 'nosuch' in .* and none is installed"),
        ("lab/labmodels.py:decay", r"the module without .py and dots instead of slashes"),
        ("broken:f", r"the import of 'broken' failed: ZeroDivisionError: division by zero"),
        ("needy:f", r"the import of 'needy' failed: No module named 'nosuchpackage'"),
        ("labmodels:decai", r"module 'labmodels' has no 'decai'; it has decay"),
        ("labmodels:", r"module 'labmodels' has no ''"),
        ("labmodels:RATE", r"'labmodels:RATE' is a float: expected a function or a manyfit Model"),
        ("labmodels:flat", r"'flat' needs at least one predictor and one parameter"),
    ],
)
def test_what_is_no_model_is_refused_with_a_way_out(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_model(spec)


def test_the_list_has_every_model_with_its_formula() -> None:
    text = list_models()
    assert all(name in text for name in MODELS)
    assert "a*exp(-(x - mu)**2/(2*s**2)) + c" in text
    assert "polynomial:degree" in text
