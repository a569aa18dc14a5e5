"""What a user installs: sdist and wheel hold everything, and a fit runs from the wheel alone."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("solver", "pipeline", "workflows")

FIT = """
import numpy as np, manyfit
assert "site-packages" in manyfit.__file__, manyfit.__file__
x = np.linspace(0, 5, 50)
y = np.array([[2.0], [3.0]]) * np.exp(-1.5 * x) + 0.5
fit = manyfit.fit_curves(lambda x, a, b, c: a * np.exp(-b * x) + c, x, y)
np.testing.assert_allclose(fit.params, [[2, 1.5, 0.5], [3, 1.5, 0.5]], rtol=1e-6)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel from the sdist, as a release would be."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def modules() -> set[str]:
    """Return every module of the rooms by the path it has under the import name."""
    return {
        f"manyfit/{path.relative_to(ROOT).as_posix()}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
    }


def test_wheel_and_sdist_are_whole_and_claim_no_generic_name(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert modules() | {"manyfit/__init__.py", "manyfit/py.typed"} <= names
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"manyfit"}
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        inside = {name.split("/", 1)[1] for name in tar.getnames() if "/" in name}
    assert modules() | {"LICENSE", "README.md", "pyproject.toml"} <= inside


def test_a_fit_runs_from_the_wheel_in_a_clean_environment(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    for command in (
        [python, "-m", "pip", "install", "--quiet", "--no-compile", str(wheel)],
        [python, "-c", FIT],
        [python.parent / "manyfit", "models"],
    ):
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=clean,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "gaussian" in done.stdout
