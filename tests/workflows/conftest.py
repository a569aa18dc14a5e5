"""Commands as a person gives them, and data sets that several tests share."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from manyfit.workflows.cli import main

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Invoke = Callable[..., Result]

DATA = Path(__file__).parents[1] / "data"


def words(arguments: Sequence[object]) -> list[str]:
    return [str(argument) for argument in arguments]


@pytest.fixture(scope="session")
def manyfit() -> Command:
    """Run a command in a process of its own."""

    def run(*arguments: object, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "manyfit.workflows", *words(arguments)]
        return subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
        )

    return run


@pytest.fixture
def invoke() -> Invoke:
    """Run a command in this process: for what starts no workers."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(main, words(arguments), catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def decays(tmp_path_factory: pytest.TempPathFactory, manyfit: Command) -> Path:
    """1200 decays, 84 of them bad, in two files."""
    path = tmp_path_factory.mktemp("decays") / "data"
    shape = ("--curves", 1200, "--points", 40, "--files", 2, "--bad-share", 0.07, "--seed", 7)
    done = manyfit("simulate", "-m", "exponential_decay", "--out", path, *shape)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="session")
def fits(tmp_path_factory: pytest.TempPathFactory, manyfit: Command, decays: Path) -> Path:
    """The decays, fitted."""
    path = tmp_path_factory.mktemp("fits") / "out"
    done = manyfit("fit", decays, "-m", "exponential_decay", "--out", path, "--workers", 1)
    assert done.returncode == 0, done.stderr
    return path
