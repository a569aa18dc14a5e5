"""A recipe's curves as arrays.

Random numbers belong to blocks of curves: block b draws from a stream seeded by (seed, b), and a
block's size depends on the number of points alone. Any range of curves is cut from whole blocks,
so neither the size of a chunk nor the number of curves changes a single bit of a curve.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ...solver.arrays import Floats, Ints
from .bad import kinds_in, kinds_of, spoil
from .recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Some consecutive curves of a data set.

    Attributes
    ----------
    first
        The id of the first.
    x
        (n_points,).
    y, sigma
        (n_curves, n_points).
    truth
        (n_curves, n_params).
    kind
        (n_curves,) index into `bad.KINDS`, -1 for good curves.
    length
        (n_curves,) points that are there.
    null
        Indices of the curves that are null.
    """

    first: int
    x: Floats
    y: Floats
    sigma: Floats = field(repr=False)
    truth: Floats = field(repr=False)
    kind: npt.NDArray[np.int8] = field(repr=False)
    length: Ints = field(repr=False)
    null: Ints = field(repr=False)

    def __len__(self) -> int:
        """Return the number of curves."""
        return len(self.y)

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """(n_curves,) the curves' numbers."""
        return np.arange(self.first, self.first + len(self), dtype=np.int64)

    @property
    def whole(self) -> bool:
        """Whether every curve has all its points."""
        return not self.null.size and bool(np.all(self.length == self.x.size))

    def part(self, start: int, stop: int) -> "Curves":
        """Return the curves with ids from `start` to `stop`, as far as they are here."""
        low, high = max(start - self.first, 0), min(stop - self.first, len(self))
        if (low, high) == (0, len(self)):
            return self
        null = self.null[(self.null >= low) & (self.null < high)] - low
        rows = ("y", "sigma", "truth", "kind", "length")
        return replace(
            self,
            first=self.first + low,
            null=null,
            **{name: getattr(self, name)[low:high] for name in rows},
        )


def blocks(recipe: Recipe, start: int, stop: int) -> Iterator[Curves]:
    """Yield the curves with ids from `start` to `stop`, block by block."""
    for number in range(start // recipe.block, -(-stop // recipe.block)):
        yield _block(recipe, number).part(start, stop)


def x_of(recipe: Recipe) -> Floats:
    """Return the points' x, (n_points,)."""
    return np.linspace(*recipe.x_range, recipe.n_points)


def _block(recipe: Recipe, number: int) -> Curves:
    """Draw one whole block."""
    rng = np.random.default_rng(np.random.SeedSequence(recipe.seed, spawn_key=(number,)))
    first, n_curves = number * recipe.block, recipe.block
    x, truth = x_of(recipe), _truth(recipe, rng)
    exact = _values(recipe, x, truth)
    sigma = _sigma(recipe, exact)
    y = _noisy(recipe, exact, sigma, rng)
    kind = kinds_of(first, first + n_curves, recipe.bad_share, len(kinds_in(recipe.layout)))
    length, null = spoil(y, kind, recipe.model.n_params, rng.random(n_curves))
    return Curves(
        first=first, x=x, y=y, sigma=sigma, truth=truth, kind=kind, length=length, null=null
    )


def _truth(recipe: Recipe, rng: np.random.Generator) -> Floats:
    """Draw the true parameters of a block, (n_curves, n_params)."""
    centre = np.array([recipe.truth[p] for p in recipe.model.params])
    return centre * (1.0 + recipe.spread * rng.uniform(-1.0, 1.0, (recipe.block, centre.size)))


def _values(recipe: Recipe, x: Floats, truth: Floats) -> Floats:
    """Return the model's exact values, (n_curves, n_points).

    Raises
    ------
    ValueError
        When the model is not finite somewhere.
    """
    params = [truth[:, j, None] for j in range(truth.shape[1])]
    with np.errstate(all="ignore"):
        exact = recipe.model.func(*recipe.model.arrange([x], [], params))
    exact = np.broadcast_to(np.asarray(exact, dtype=np.float64), (len(truth), x.size))
    if not np.all(np.isfinite(exact)):
        wrong = x[~np.all(np.isfinite(exact), axis=0)][0]
        raise ValueError(
            f"{recipe.spec!r} is not finite at x = {wrong:g} for truth {dict(recipe.truth)} "
            f"+-{recipe.spread:.0%}: choose another --x-range or --truth"
        )
    return exact


def _sigma(recipe: Recipe, exact: Floats) -> Floats:
    """Return the standard deviation of every point, (n_curves, n_points)."""
    if recipe.noise_kind == "constant":
        return np.broadcast_to(np.float64(recipe.noise), exact.shape)
    if recipe.noise_kind == "relative":
        return recipe.noise * np.abs(exact)
    return np.sqrt(np.maximum(exact, 1.0))


def _noisy(recipe: Recipe, exact: Floats, sigma: Floats, rng: np.random.Generator) -> Floats:
    """Add noise.

    Raises
    ------
    ValueError
        When counts are asked of a model that is negative.
    """
    if recipe.noise_kind != "poisson":
        y = rng.standard_normal(exact.shape)
        y *= sigma
        y += exact
        return y
    if exact.min() < 0:
        raise ValueError(
            f"--noise-kind poisson draws counts, but {recipe.spec!r} is negative "
            f"({exact.min():g}) for truth {dict(recipe.truth)}"
        )
    return rng.poisson(exact).astype(np.float64)
