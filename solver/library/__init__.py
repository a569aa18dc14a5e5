"""Models with exact Jacobians and start guesses from the data.

    polynomials, decays, sinusoids, peaks, sigmoids, powers     the models
    registry                                                    models by name, for job files
    sorted_curves                                               what every guess begins with
    projection                                                  linear parameters from the others

A guess looks at all curves at once and at each alone: a curve's guess has the same bits in any
batch. It is finite for any finite data.
"""

from .decays import exponential_decay
from .peaks import gaussian, lorentzian
from .polynomials import polynomial
from .powers import power_law
from .registry import MODELS, ModelEntry, get_model
from .sigmoids import dose_response_4pl, logistic
from .sinusoids import sinusoid

__all__ = [
    "MODELS",
    "ModelEntry",
    "dose_response_4pl",
    "exponential_decay",
    "gaussian",
    "get_model",
    "logistic",
    "lorentzian",
    "polynomial",
    "power_law",
    "sinusoid",
]
