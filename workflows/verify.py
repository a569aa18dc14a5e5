"""What `manyfit verify` says of a result, and its exit code."""

from collections.abc import Sequence

from ..pipeline.verify import Verification, verify_result
from .exits import Exit


def run_verify(result: str, data: Sequence[str]) -> tuple[str, Exit]:
    """Verify a result, against its input if `data` names it.

    Raises
    ------
    FileNotFoundError
        When there are no results.
    ValueError
        When the ledger is of another version, or the data cannot be read.
    """
    found = verify_result(result, data or None)
    return str(found), exit_of(found)


def exit_of(found: Verification) -> Exit:
    """Return the exit code of a verification."""
    if found.problems:
        return Exit.UNSOUND
    return Exit.PARTIAL if found.missing else Exit.COMPLETE
