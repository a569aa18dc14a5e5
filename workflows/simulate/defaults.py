"""Truths that make sense: for each library model, curves that show its shape in 50 points."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...solver.model import Model


@dataclass(frozen=True, slots=True)
class Example:
    """Centres of the true parameters, and where the points lie."""

    x_range: tuple[float, float] | None = None
    truth: Mapping[str, float] = field(default_factory=dict)


EXAMPLES: Mapping[str, Example] = {
    "constant": Example((0, 10), {"c": 2}),
    "dose_response_4pl": Example((-9, -4), {"lo": 0.5, "hi": 10, "le": -6.5, "h": 1.2}),
    "exponential_decay": Example((0, 5), {"a": 2, "b": 1.5, "c": 0.5}),
    "exponential_decay:2": Example((0, 10), {"a1": 4, "b1": 2.5, "a2": 6, "b2": 0.4, "c": 0.5}),
    "gaussian": Example((0, 10), {"a": 2, "mu": 5, "s": 1, "c": 0.5}),
    "linear": Example((0, 10), {"c": 0.5, "b": 2}),
    "logistic": Example((0, 12), {"c": 0.5, "K": 2, "r": 1.5, "tm": 6}),
    "lorentzian": Example((0, 10), {"a": 2, "mu": 5, "w": 1, "c": 0.5}),
    "power_law": Example((1, 10), {"a": 2, "b": 1.5}),
    "sinusoid": Example((0, 10), {"a": 2, "w": 1.5, "phi": 0.5, "c": 0.5}),
    "voigt": Example((0, 10), {"a": 2, "mu": 5, "s": 0.7, "g": 0.5, "c": 0.5}),
}
"""By the model's name."""


def example_of(model: Model) -> Example:
    """Return what a model is simulated with if nothing is said.

    A polynomial of any degree has coefficients 2, -1, 1/2, ... on -1..1; a model of the user the
    start values of its parameters, as far as there are any, and no range of x.
    """
    if model.name in EXAMPLES:
        return EXAMPLES[model.name]
    if model.name.startswith("polynomial:"):
        return Example((-1, 1), {p: 2 * (-0.5) ** k for k, p in enumerate(model.params)})
    return Example(None, dict(model.start))
