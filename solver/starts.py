"""Where curves start that the compiled engine fits: its guesses are compiled, too.

A curve's guess has the bits that it would have without the points that do not count.
"""

from dataclasses import dataclass

import numpy as np

from .arrays import Floats, Ints
from .curves import Curves, Slab
from .library.recipe import Recipe
from .preparation import Prepared
from .simd.engine import Points
from .simd.machine import Machine
from .simd.starting import guesses

MOST_POINTS = 1 << 16
"""Longer curves are left to the reference engine: a kernel holds one in each lane."""


@dataclass(frozen=True, slots=True)
class Starts:
    """What a model's start values come from, and what to compile its guess for."""

    prepared: Prepared
    machine: Machine

    def of(self, points: Points, curves: Curves, rows: Ints, *, gaps: bool) -> Floats:
        """Do what `Prepared.starts` does, with the compiled guess where there is one.

        With `gaps` that guesses from what is left of the curves; they start at NaN otherwise.
        """
        recipe = self._recipe
        if recipe is None:
            return self.prepared.starts(curves, rows)
        guess = guesses(recipe, points, rows, self.machine, gaps=gaps)
        return self.prepared.started(rows, guess)

    def of_slab(self, slab: Slab) -> Floats:
        """Do what `Prepared.start_for` does, with the compiled guess where there is one."""
        recipe = self._recipe
        if recipe is None or slab.y.shape[1] > MOST_POINTS:
            return self.prepared.start_for(slab)
        length = np.count_nonzero(slab.valid, axis=1)
        x = np.broadcast_to(slab.predictors[0], slab.y.shape)
        points = Points(
            y=slab.y[slab.valid],
            start=np.cumsum(length) - length,
            length=length,
            predictors=(x[slab.valid],),
            shared=(False,),
        )
        guess = guesses(recipe, points, np.arange(len(length)), self.machine)
        return self.prepared.started(slab.rows, guess)

    @property
    def _recipe(self) -> Recipe | None:
        """How the model guesses, where that can be compiled and is asked for."""
        model, guess = self.prepared.model, self.prepared.model.guess
        if not isinstance(guess, Recipe) or not guess.compiles or len(model.predictors) > 1:
            return None
        return guess if self.prepared.guessed.any() else None
