"""What to simulate: one value, checked once, that also stands in the files' metadata."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from ...solver.model import Model

Layout = Literal["list", "long", "wide"]
Noise = Literal["constant", "relative", "poisson"]

METADATA_KEY = b"manyfit.simulation"
"""Where the schema of a simulated file says how it was made."""

TRUTH_PREFIX = "true_"
"""Column of a true parameter: ``true_a``."""

BLOCK_VALUES = 2**18
"""Points in a block of curves that share one stream of random numbers (2 MiB of y)."""

ROW_GROUP_BLOCKS = 8
"""Blocks in a row group when its size is not given (16 MiB of y)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A data set of known truth.

    Attributes
    ----------
    spec
        The model as it was asked for, such as ``polynomial:3``.
    model
        The model itself.
    n_curves, n_points
        How many curves, and how many points each.
    x_range
        First and last x; points are evenly spaced.
    truth
        The centre of each true parameter.
    spread
        Each true parameter of each curve is uniform within +- this share of its centre.
    noise
        "constant": standard deviation in units of y. "relative": as a share of the curve's
        value. "poisson": ignored, the standard deviation is the root of the value.
    noise_kind
        See `noise`.
    layout
        "list": a list column a curve; "long": a row a point; "wide": a column a point.
    bad_share
        The share of curves that are bad in one of the ways of `bad.KINDS`.
    seed
        The same seed gives the same curves, however many are asked for.
    with_x, with_sigma
        Whether to write the points' x (the wide layout never does) and standard deviations.

    Raises
    ------
    ValueError
        When a value is outside its range or the truth does not fit the model.
    """

    spec: str
    model: Model
    n_curves: int
    n_points: int
    x_range: tuple[float, float]
    truth: Mapping[str, float]
    spread: float = 0.2
    noise: float = 0.05
    noise_kind: Noise = "constant"
    layout: Layout = "list"
    bad_share: float = 0.0
    seed: int = 0
    with_x: bool = True
    with_sigma: bool = False

    def __post_init__(self) -> None:
        """Check every value."""
        self._check_names()
        self._check_numbers()
        self._check_choices()

    def _check_numbers(self) -> None:
        """Check that every number is within its range."""
        numbers: list[tuple[str, float, float, float]] = [
            ("curves", self.n_curves, 1, math.inf),
            ("points", self.n_points, 1, math.inf),
            ("seed", self.seed, 0, math.inf),
            ("noise", self.noise, 0, math.inf),
            ("spread", self.spread, 0, 1),
            ("bad-share", self.bad_share, 0, 1),
        ]
        for option, value, least, most in numbers:
            if not least <= value <= most or math.isinf(value):
                limit = "" if math.isinf(most) else f" and <= {most:g}"
                raise ValueError(f"--{option} must be >= {least:g}{limit}, got {value:g}")

    def _check_choices(self) -> None:
        """Check that layout and noise are known and go together."""
        for option, given, kind in (
            ("layout", self.layout, Layout),
            ("noise-kind", self.noise_kind, Noise),
        ):
            if given not in get_args(kind):
                raise ValueError(f"--{option} must be one of {get_args(kind)}, got {given!r}")
        if self.with_sigma and self.layout == "wide":
            raise ValueError("--sigma needs the list or the long layout: wide has no place for it")

    def _check_names(self) -> None:
        """Check that the model can be simulated and that every parameter has a truth."""
        model = self.model
        if len(model.predictors) != 1 or model.constants:
            raise ValueError(
                f"only models with one predictor and no constants can be simulated; {self.spec!r} "
                f"has predictors {model.predictors} and constants {model.constants}"
            )
        missing = [p for p in model.params if p not in self.truth]
        unknown = [p for p in self.truth if p not in model.params]
        if missing or unknown:
            wrong = f"{missing} missing" if missing else f"{unknown} unknown"
            example = ",".join(f"{p}=1" for p in model.params)
            raise ValueError(
                f"--truth needs a value for each parameter of {self.spec!r}, {model.params}: "
                f"{wrong}; for example --truth {example}"
            )

    @property
    def block(self) -> int:
        """Curves in a block; it depends on nothing but `n_points`."""
        return max(1, BLOCK_VALUES // self.n_points)

    @property
    def row_group(self) -> int:
        """Curves in a row group when its size is not given."""
        return ROW_GROUP_BLOCKS * self.block

    def metadata(self) -> dict[bytes, bytes]:
        """Return what a file's schema says of its making."""
        made = {
            "model": self.spec,
            "params": list(self.model.params),
            "x_range": list(self.x_range),
            "truth": {p: self.truth[p] for p in self.model.params},
            "n_curves": self.n_curves,
            "n_points": self.n_points,
            "spread": self.spread,
            "noise": self.noise,
            "noise_kind": self.noise_kind,
            "layout": self.layout,
            "bad_share": self.bad_share,
            "seed": self.seed,
        }
        return {METADATA_KEY: json.dumps(made).encode()}
