"""What is seen while a run goes on."""

import io

import pytest

from manyfit.pipeline.summary import Progress
from manyfit.workflows.progress import count_text, duration, shown


def at(
    elapsed_s: float, done: int, failed: int = 0, counts: dict[int, int] | None = None
) -> Progress:
    return Progress(
        curves_done=done,
        curves=1000,
        partitions_done=done // 100,
        partitions=10,
        failed=failed,
        counts=counts if counts is not None else {1: done},
        elapsed_s=elapsed_s,
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_has_lines_now_and_then() -> None:
    stream = io.StringIO()
    with shown(stream) as report:
        for second in range(26):
            report(at(5.0 + second, 40 * second))
    assert stream.getvalue().splitlines() == [
        "  0.0 %  0 of 1,000 curves",
        " 40.0 %  400 of 1,000 curves, 40 fits/s, 15 s left, 100 % converged",
        " 80.0 %  800 of 1,000 curves, 40 fits/s, 5 s left, 100 % converged",
        "100.0 %  1,000 of 1,000 curves, 40 fits/s, 100 % converged",
    ]


def test_what_was_fitted_before_does_not_count_as_speed() -> None:
    stream = io.StringIO()
    with shown(stream) as report:
        report(at(2.0, 900))
        report(at(12.0, 1000))
    assert "10 fits/s" in stream.getvalue()


def test_failures_are_seen_and_end_a_run() -> None:
    stream = io.StringIO()
    with shown(stream) as report:
        report(at(0.0, 0))
        report(at(1.0, 900, failed=1, counts={1: 890, 5: 8, -1: 2}))
    last = stream.getvalue().splitlines()[-1]
    assert last.endswith("98.89 % converged, 8 MAXFEV, 2 NO_DATA, 1 partition(s) failed")


def test_a_terminal_has_a_bar() -> None:
    stream = Terminal()
    with shown(stream) as report:
        report(at(0.0, 0))
        report(at(10.0, 500, counts={1: 499, 5: 1}))
    text = stream.getvalue()
    assert "50.0 %" in text
    assert "50 fits/s, 10 s left" in text.replace("\n", " ")


def test_quiet_is_quiet() -> None:
    stream = Terminal()
    with shown(stream, quiet=True) as report:
        report(at(0.0, 0))
    assert not stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (95, "1 min 35 s"), (7300, "2 h 01 min")],
)
def test_times_are_written_as_they_are_said(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_no_counts_no_text() -> None:
    assert not count_text({})
