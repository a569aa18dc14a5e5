"""A function is known by what it does, in this session and the next."""

import functools
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import exp

import manyfit
from manyfit.pipeline.identity import differences, digest, function_digest, plain

RATE = 2.0


def closing(*values: Any) -> Any:
    def func(x: Any, a: Any) -> Any:
        return values[0] * a * x

    return func


@dataclass(frozen=True)
class Scaled:
    scale: float

    def __call__(self, x: Any, a: Any) -> Any:
        return self.scale * a * x

    def method(self, x: Any, a: Any) -> Any:
        return self.scale + a * x


def with_global(x: Any, a: Any) -> Any:
    return RATE * a * exp(x)


DIFFERENT = {
    "closure": (closing(1.0, 2.0, 1.0), closing(1.0, 2.0, 2.0)),
    "array": (closing(np.array([1.0])), closing(np.array([1.5]))),
    "order": (closing((1, 2)), closing((2, 1))),
    "mapping": (closing({"k": 1}), closing({"k": 2})),
    "object": (Scaled(1.0), Scaled(2.0)),
    "method": (Scaled(1.0).method, Scaled(2.0).method),
    "which method": (Scaled(1.0), Scaled(1.0).method),
    "partial": (functools.partial(with_global, a=1), functools.partial(with_global, a=2)),
    "default": (lambda x, a=1: a * x, lambda x, a=2: a * x),
    "lambda": (lambda x, a: a * x, lambda x, a: a + x),
    "set": (closing({1, 2}), closing({1, 3})),
    "ufunc": (closing(np.exp), closing(np.log)),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_functions_that_do_different_things_are_told_apart(name: str) -> None:
    first, second = (function_digest(f) for f in DIFFERENT[name])
    assert first != second


def test_functions_that_do_the_same_are_the_same() -> None:
    assert function_digest(closing(1.0, "a", np.arange(3))) == (
        function_digest(closing(1.0, "a", np.arange(3)))
    )
    assert function_digest(Scaled(1.0)) == function_digest(Scaled(1.0))


def test_a_value_that_is_looked_up_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = function_digest(with_global)
    monkeypatch.setattr(sys.modules[__name__], "RATE", 3.0)
    assert function_digest(with_global) != before


def test_a_digest_is_the_same_in_another_session(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np\nfrom manyfit.pipeline.identity import function_digest\n"
        "KINDS = {'a': 1}\nclass Box:\n    def __init__(self): self.k = {'x', }\n"
        "box = Box()\n"
        "def f(x, a, b=1.5):\n    return KINDS['a'] * np.exp(-a * x) + b * len(box.k)\n"
        "print(function_digest(f), function_digest(lambda x, a: a * x))\n"
    )
    root = str(Path(str(manyfit.__file__)).parents[1])
    found = {
        subprocess.run(
            [sys.executable, str(script)],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": root, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_plain_values_are_json() -> None:
    value = {"a": np.array([1.0, np.inf]), "b": (1, None), "c": Scaled(float("nan"))}
    assert plain(value) == {"a": [1.0, "inf"], "b": [1, None], "c": {"scale": "nan"}}
    assert digest(plain(value)) == digest(plain(dict(reversed(value.items()))))


def test_differences_are_told_by_section() -> None:
    there = {"input": {"a": 1, "b": 2}, "options": {"ftol": 1, "xtol": 1}}
    here = {"input": {"a": 1, "c": 2}, "options": {"ftol": 2, "xtol": 1}}
    assert differences(there, there) == []
    assert differences(there, here) == [
        "1 input file(s) new: c",
        "1 input file(s) gone: b",
        "options ftol: 1 there, 2 here",
    ]
