"""The NIST StRD non-linear regression problems: data, starts, and certified results.

The files say themselves on which of their lines the starts and the data stand; see README.md
for where they come from and what is known to be wrong in them.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np

from manyfit.solver.arrays import Floats
from manyfit.solver.model import Model

from .models import MODELS

FOLDER = Path(__file__).parent
NAMES = tuple(MODELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem as published.

    Attributes
    ----------
    model
        The formula, with exact derivatives.
    x
        The predictors, each (n_points,); Nelson has two.
    y
        (n_points,), the response that the model describes: log(y) for Nelson.
    starts
        (2, n_params): the first is far from the solution, the second near it.
    params, stderr
        (n_params,) certified values, 11 digits.
    rss, residual_sd
        Certified residual sum of squares and standard deviation, 11 digits.
    published_dof
        The degrees of freedom as printed; see `dof`.
    """

    name: str
    level: str
    model: Model
    x: tuple[Floats, ...]
    y: Floats
    starts: Floats
    params: Floats
    stderr: Floats
    rss: float
    residual_sd: float
    published_dof: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """Parse one published file."""
        text = path.read_text(encoding="ascii")
        name = path.stem
        table = _rows(text, "Starting Values", drop="=")
        y, *x = _rows(text, "Data").T
        return cls(
            name=name,
            level=_field(text, r"(\w+) Level of Difficulty"),
            model=MODELS[name],
            x=tuple(x),
            y=np.log(y) if name == "Nelson" else y,
            starts=table[:, :2].T,
            params=table[:, 2],
            stderr=table[:, 3],
            rss=float(_field(text, r"Residual Sum of Squares:\s*(\S+)")),
            residual_sd=float(_field(text, r"Residual Standard Deviation:\s*(\S+)")),
            published_dof=int(_field(text, r"Degrees of Freedom:\s*(\d+)")),
        )

    @property
    def dof(self) -> int:
        """Points less parameters."""
        return len(self.y) - len(self.params)

    def residuals(self, params: Floats) -> Floats:
        """Return model - y, (n_points,), for params (n_params,)."""
        values = self.model.func(*self.x, *params)
        return np.asarray(values - self.y, dtype=np.float64)

    def jacobian(self, params: Floats) -> Floats:
        """Return the exact derivatives of the residuals, (n_points, n_params)."""
        assert self.model.jac is not None
        return np.stack(self.model.jac(*self.x, *params), axis=1)


@cache
def problem(name: str) -> Problem:
    """Return one problem by its name, as in `NAMES`."""
    return Problem.read(FOLDER / f"{name}.dat")


def digits(value: Floats, certified: Floats) -> float:
    """Return the fewest correct digits over all elements, the LRE of the StRD literature.

    -log10 |value - certified| / |certified|, at most 11, the digits published; 0 where not
    finite. Source: McCullough, The American Statistician 52 (1998) 358.
    """
    error = np.abs(value - certified) / np.abs(certified)
    worst = float(np.max(error))
    return float(np.clip(-np.log10(max(worst, 1e-11)), 0, 11)) if np.isfinite(worst) else 0.0


def _rows(text: str, block: str, drop: str | None = None) -> Floats:
    """Read the numbers on the lines that the header gives for a block."""
    first, last = (
        int(n) for n in re.findall(rf"{block}\s+\(lines\s+(\d+)\s+to\s+(\d+)\)", text)[0]
    )
    lines = text.splitlines()[first - 1 : last]
    cells = [line.split(drop)[-1].split() if drop else line.split() for line in lines]
    return np.array([[float(cell) for cell in row] for row in cells])


def _field(text: str, pattern: str) -> str:
    """Read the one group of a pattern."""
    match = re.search(pattern, text)
    assert match is not None, pattern
    return match.group(1)
