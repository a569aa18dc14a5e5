"""Exit codes, and how what goes wrong becomes one message without a traceback.

An error is translated only where it is known to be the caller's (`misuse`) or the world's
(`stopped`): anything else is a defect of this program, keeps its traceback and exits with 1.
"""

import signal
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import IO, Any, NoReturn

import click

from ..pipeline.errors import ClusterError, SinkLockedError


class Exit(IntEnum):
    """What the exit code of a command says."""

    COMPLETE = 0
    DEFECT = 1
    MISUSE = 2
    PARTIAL = 3
    STOPPED = 4
    UNSOUND = 5
    INTERRUPTED = 130
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        """One sentence for a person."""
        return _MEANINGS[self]


_MEANINGS = {
    Exit.COMPLETE: "Complete. Fits that did not converge are results, and have their status.",
    Exit.DEFECT: "An unexpected error, with a traceback: please report it.",
    Exit.MISUSE: "Misuse or bad input, found before any work was begun; the message says what.",
    Exit.PARTIAL: "Some partitions failed, or are not there yet, and are listed; run again to fit "
    "them. The others are complete.",
    Exit.STOPPED: "Stopped: the output is in use, the cluster was lost, or a disk failed. What was "
    "done is kept; run again to go on.",
    Exit.UNSOUND: "Verified, and not as it should be: results or input differ from the ledger.",
    Exit.INTERRUPTED: "Interrupted (SIGINT). What was done is kept; run again to go on.",
    Exit.TERMINATED: "Terminated (SIGTERM). What was done is kept; run again to go on.",
}


class Failure(click.ClickException):
    """An end with a message and an exit code."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """What click exits with."""
        return int(self.code)

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message to standard error."""
        click.echo(f"manyfit: {self.format_message()}", file=file, err=True)


class JobError(ValueError):
    """A run cannot be begun."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end."""


@contextmanager
def misuse() -> Iterator[None]:
    """Turn errors of the caller into one message and exit code 2."""
    try:
        yield
    except (ValueError, TypeError, OSError) as error:
        raise Failure(_text(error), Exit.MISUSE) from error
    except KeyboardInterrupt as error:
        raise Failure("interrupted", Exit.INTERRUPTED) from error


@contextmanager
def stopped() -> Iterator[None]:
    """Turn what ends a run early into one message and exit code 2, 4, 130 or 143.

    While it lasts, SIGTERM ends a run as SIGINT does: in order; and a warning is a message, too.
    """
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show
            yield
    except JobError as error:
        raise Failure(_text(error), Exit.MISUSE) from error
    except (ClusterError, SinkLockedError, OSError) as error:
        raise Failure(_text(error), Exit.STOPPED) from error
    except Terminated as error:
        raise Failure("terminated; run again to go on", Exit.TERMINATED) from error
    except KeyboardInterrupt as error:
        raise Failure("interrupted; run again to go on", Exit.INTERRUPTED) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(message: Warning | str, *_where: Any, **_more: Any) -> None:
    """Write a warning to standard error, without a line of our source."""
    click.echo(f"manyfit: warning: {message}", err=True)


def _terminate(_signum: int, _frame: types.FrameType | None) -> NoReturn:
    """Raise what ends a run in order."""
    raise Terminated


def _text(error: BaseException) -> str:
    """Return the message of an error."""
    return str(error) or type(error).__name__
