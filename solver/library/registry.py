"""The library's models by name, as a job file or a command line gives them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from ..model import Model
from .decays import exponential_decay
from .peaks import gaussian, lorentzian
from .polynomials import constant, linear, polynomial
from .powers import power_law
from .sigmoids import dose_response_4pl, logistic
from .sinusoids import sinusoid
from .voigts import voigt


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of the library.

    Attributes
    ----------
    factory
        Makes the model; takes the integer argument, where there is one, and ``prefix=``.
    description
        One line for people.
    argument
        The name of the integer argument, or None.
    required
        Whether the argument must be given.
    """

    factory: Callable[..., Model]
    description: str
    argument: str | None = None
    required: bool = False


MODELS: Mapping[str, ModelEntry] = MappingProxyType(
    {
        "constant": ModelEntry(constant, "the same at every x"),
        "dose_response_4pl": ModelEntry(
            dose_response_4pl, "response between two levels over log10 concentration"
        ),
        "exponential_decay": ModelEntry(
            exponential_decay, "one or two exponentials above a constant", "terms"
        ),
        "gaussian": ModelEntry(gaussian, "Gaussian peak or dip above a constant"),
        "linear": ModelEntry(linear, "straight line"),
        "logistic": ModelEntry(logistic, "sigmoid growth or fall between two levels"),
        "lorentzian": ModelEntry(lorentzian, "Lorentzian peak or dip above a constant"),
        "polynomial": ModelEntry(
            polynomial, "polynomial of a given degree", "degree", required=True
        ),
        "power_law": ModelEntry(power_law, "power of x, for x >= 0"),
        "sinusoid": ModelEntry(sinusoid, "sinusoid about a constant"),
        "voigt": ModelEntry(voigt, "Voigt peak or dip above a constant"),
    }
)


def get_model(spec: str, *, prefix: str = "") -> Model:
    """Make the model that a text names: ``gaussian``, ``polynomial:3``, ``exponential_decay:2``.

    Parameters
    ----------
    spec
        The text.
    prefix
        What the names of the parameters begin with; see `Model.prefixed`.

    Raises
    ------
    ValueError
        When there is no such model, or its integer argument is missing, superfluous or not one it
        takes. The message lists the models, or says how to write the argument.
    """
    name, colon, argument = (part.strip() for part in spec.partition(":"))
    entry = MODELS.get(name)
    if entry is None:
        raise ValueError(_unknown(name, spec))
    if entry.argument is None:
        if colon:
            raise ValueError(f"model {name!r} takes no argument, got {spec!r}: write {name!r}")
        return entry.factory(prefix=prefix)
    if not colon:
        if entry.required:
            raise ValueError(
                f"model {name!r} needs its {entry.argument}, got {spec!r}: write '{name}:3' "
                f"for {entry.argument} 3"
            )
        return entry.factory(prefix=prefix)
    try:
        value = int(argument)
    except ValueError as error:
        raise ValueError(
            f"the {entry.argument} of model {name!r} must be an integer, got {argument!r} in "
            f"{spec!r}: write for example '{name}:2'"
        ) from error
    return entry.factory(value, prefix=prefix)


def _unknown(name: str, spec: Any) -> str:
    """Compose the message for a name that no model has."""
    close = get_close_matches(name.lower(), MODELS, n=1)
    suggestion = f" Did you mean {close[0]!r}?" if close else ""
    return f"there is no model {name!r} (from {spec!r}).{suggestion} There are: {', '.join(MODELS)}"
