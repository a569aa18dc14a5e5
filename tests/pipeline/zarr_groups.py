"""Groups of Zarr arrays, and how the fits of what is read from them compare with the solver's."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from manyfit.pipeline.columns import Columns
from manyfit.pipeline.dataset import open_dataset
from manyfit.pipeline.plan import plan_dataset
from manyfit.pipeline.task import read_curves
from manyfit.solver.batch import fit_batch
from manyfit.solver.model import Model
from manyfit.solver.options import FitOptions

Floats = npt.NDArray[np.float64]
X = np.linspace(0.0, 4.0, 16)
START = [1.0, 1.0, 1.0]
ROWS, COLS = 6, 10


def decay(x: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * x) + c


def cube(seed: int = 0) -> Floats:
    """Return noisy decays, (6, 10, 16)."""
    rng = np.random.default_rng(seed)
    a, b, c = (1 + 0.3 * rng.uniform(-1, 1, (3, ROWS, COLS, 1))) * np.reshape(
        [2.0, 1.5, 0.5], (3, 1, 1, 1)
    )
    noisy: Floats = decay(X, a, b, c) + rng.normal(0, 0.02, (ROWS, COLS, 16))
    return noisy


@dataclass
class Writer:
    """A group to which arrays are written, of either format."""

    path: Path
    version: Any = 3
    dims: bool = True
    groups: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, values: Any, dims: tuple[str, ...] = (), **options: Any) -> Any:
        root = zarr.open_group(self.path, mode="a", zarr_format=self.version)
        values = np.asarray(values)
        attributes = dict(options.pop("attributes", {}))
        if self.dims and dims:
            if self.version == 2:
                attributes["_ARRAY_DIMENSIONS"] = list(dims)
            else:
                options["dimension_names"] = dims
        array = root.create_array(
            name, shape=values.shape, dtype=values.dtype, attributes=attributes, **options
        )
        array[...] = values
        return array


def read_and_fit(path: Path, model: Any = decay, p0: Any = None, **columns: Any) -> dict[str, Any]:
    """Fit all curves as tasks would, and return them in the order of the map."""
    model = model if isinstance(model, Model) else Model.from_function(model)
    dataset = open_dataset(path, Columns(**columns))
    binding = dataset.bind(model, FitOptions(), p0)
    plan = plan_dataset(dataset, partition_bytes=1)
    assert sum(p.curves for p in plan.partitions) == dataset.n_curves
    files = dict(enumerate(dataset.files))
    fits = []
    for partition in plan.partitions:
        for curves in read_curves(files, partition, binding, 3000):
            fit = fit_batch(
                model,
                curves.x,
                curves.y,
                sigma=curves.sigma,
                p0=curves.p0 or None,
                constants=curves.constants,
            )
            place = np.ravel_multi_index(
                [i.to_numpy() for i in curves.index], binding.grid.map_shape
            )
            fits.append((place, curves.ids.to_pylist(), fit, curves.y.dtype))
    order = np.argsort(np.concatenate([place for place, *_ in fits]))
    ids = [i for _, some, *_ in fits for i in some]
    return {
        "params": np.concatenate([fit.params for _, _, fit, _ in fits])[order],
        "cost": np.concatenate([fit.cost for _, _, fit, _ in fits])[order],
        "status": np.concatenate([fit.status for _, _, fit, _ in fits])[order],
        "flags": np.concatenate([fit.flags for _, _, fit, _ in fits])[order],
        "ids": [ids[k] for k in order],
        "dtypes": {dtype for *_, dtype in fits},
        "partitions": len(plan.partitions),
    }


def alone(y: Any, x: Any = X, model: Any = decay, p0: Any = None, **more: Any) -> Any:
    """Return the fits of the solver alone; y has the points last."""
    n = x[next(iter(x))].shape[-1] if isinstance(x, dict) else x.shape[-1]
    more = {k: np.reshape(v, (-1, n)) if k == "sigma" else v for k, v in more.items()}
    model = model if isinstance(model, Model) else Model.from_function(model)
    return fit_batch(model, x, np.reshape(y, (-1, n)), p0=p0, **more)


def same(found: dict[str, Any], wanted: Any) -> None:
    assert np.array_equal(found["params"], wanted.params, equal_nan=True)
    assert np.array_equal(found["cost"], wanted.cost, equal_nan=True)
    assert found["status"].tolist() == wanted.status.tolist()
    assert found["flags"].tolist() == wanted.flags.tolist()
