"""Composed models from text: what Python says in the same words, or the place of the error."""

import pytest

from manyfit.solver.graph.scanning import ExpressionError
from manyfit.solver.library import (
    constant,
    exponential_decay,
    gaussian,
    linear,
    polynomial,
    sinusoid,
)
from manyfit.solver.library.composed import composed, is_composed
from manyfit.solver.model import Model


@pytest.mark.parametrize(
    ("text", "model"),
    [
        (
            "gaussian(prefix=g1_) + gaussian(prefix='g2_') + constant()",
            gaussian(prefix="g1_") + gaussian(prefix="g2_") + constant(),
        ),
        (" (sinusoid() - 1.5)*linear(prefix=l_) ", (sinusoid() - 1.5) * linear(prefix="l_")),
        (
            "exponential_decay(2, prefix=d_)/polynomial(3)",
            exponential_decay(2, prefix="d_") / polynomial(3),
        ),
        ("exponential_decay()", exponential_decay()),
        ("2*3*gaussian ()", 6 * gaussian()),
    ],
)
def test_text_and_python_say_the_same(text: str, model: Model) -> None:
    found = composed(text)
    assert is_composed(text)
    assert found.name == text.strip()
    assert found.traced().graph == model.traced().graph
    assert (found.params, found.guess) == (model.params, model.guess)


@pytest.mark.parametrize(
    "text", ["gaussian", "polynomial:3", "a*exp(-b*x)", "gaussian*x", "lab:gaussian", "agaussian()"]
)
def test_other_specs_are_not_taken_for_composed_models(text: str) -> None:
    assert not is_composed(text)


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("gaussian() + gausian(prefix=h_)", "no model 'gausian'.*mean 'gaussian'.*sinusoid", 14),
        ("gaussian() + xyz(prefix=h_)", r"no model 'xyz'\. There are: constant", 14),
        ("gaussian(x)", r"write gaussian\(prefix=p_\), or gaussian\(\)", 1),
        ("gaussian(2)", r"write gaussian\(prefix=p_\), or gaussian\(\)", 1),
        ("gaussian(prefix=1)", r"write gaussian\(prefix=p_\)", 1),
        ("gaussian(prefix=a, prefix=b)", r"write gaussian\(prefix=p_\)", 1),
        ("gaussian(level=1)", r"write gaussian\(prefix=p_\)", 1),
        ("1 + polynomial()", r"write polynomial\(3, prefix=p_\), or polynomial\(3\)", 5),
        ("exponential_decay(1.5)", r"write exponential_decay\(2, prefix=p_\), or exp.*\(2\)", 1),
        ("exponential_decay(3)", "has 1 or 2 terms, got 3", 1),
        ("gaussian(prefix='1 ')", "'1 a' cannot be the name of a param", 1),
        ("gaussian() + k*x", r"only such models, numbers, \+ - \* / and brackets can stand", 14),
        ("gaussian()**2", "only such models, numbers", 1),
        ("linear() + a.b()", "only such models, numbers", 12),
        ("constant() + (1/0)", "division by zero", 15),
        ("gaussian() +", "these are no joined models: invalid syntax", 13),
        ("1 + 2", "there are only numbers", 1),
        ("+".join(["constant()"] * 5000), "these are too many models, or brackets", 1),
    ],
)
def test_an_error_shows_its_place(text: str, message: str, column: int) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        composed(text)
    assert caught.value.column == column


def test_models_that_cannot_be_joined_say_why() -> None:
    with pytest.raises(ValueError, match="both have a, mu, s: give the names of one a prefix"):
        composed("gaussian() + gaussian()")
