"""Every command and every example of the README runs, in its order, as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MODULE = """
import numpy as np
def decay(x, a, b, c):
    return a * np.exp(-b * x) + c
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the README's files are where it says."""
    folder = tmp_path_factory.mktemp("a reader")
    (folder / "tests").symlink_to(ROOT / "tests")
    (folder / "mymodels.py").write_text(MODULE)
    simulate = "simulate --model exponential_decay --curves 200 --points 20 --out decays.parquet"
    run(folder, str(Path(sys.executable).parent / "manyfit"), *simulate.split())
    return folder


def run(folder: Path, *command: str) -> str:
    """Run a command and return what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PATH": path},
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_shell_commands(place: Path) -> None:
    commands = re.findall(r"^    (manyfit .*)$", README, flags=re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        assert run(place, "sh", "-c", command)


@pytest.mark.parametrize("example", re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))
def test_python_examples(place: Path, example: str) -> None:
    # Given as a string, as a notebook does: no file that worker processes would import again.
    assert run(place, sys.executable, "-W", "error", "-c", example)
