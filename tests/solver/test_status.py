"""Codes: MINPACK's numbers, success 1 to 4 and nothing else, a sentence for each."""

import pytest

from manyfit.solver.status import Flag, Status


def test_minpacks_codes_keep_their_numbers() -> None:
    names = {
        0: "IMPROPER_INPUT",
        1: "CONVERGED_FTOL",
        2: "CONVERGED_XTOL",
        3: "CONVERGED_BOTH",
        4: "CONVERGED_GTOL",
        5: "MAXFEV",
        6: "FTOL_TOO_SMALL",
        7: "XTOL_TOO_SMALL",
        8: "GTOL_TOO_SMALL",
    }
    assert {int(s): s.name for s in Status if s >= 0} == names


def test_what_could_not_be_fitted_has_a_negative_code_of_its_own() -> None:
    negative = sorted(int(s) for s in Status if s < 0)
    assert negative == list(range(-len(negative), 0))


@pytest.mark.parametrize("status", Status)
def test_success_is_1_to_4_and_nothing_else(status: Status) -> None:
    assert status.success == (int(status) in {1, 2, 3, 4})


@pytest.mark.parametrize("status", Status)
def test_every_code_has_a_sentence(status: Status) -> None:
    assert status.message.endswith(".")
    assert status.message[0].isalpha()


def test_no_two_codes_say_the_same() -> None:
    assert len({status.message for status in Status}) == len(Status)


def test_codes_fit_the_column_they_are_stored_in() -> None:
    assert all(-128 <= status <= 127 for status in Status)


def test_flags_are_single_bits_that_fit_their_column() -> None:
    assert sorted(int(flag) for flag in Flag) == [1, 2, 4, 8]
    assert Flag(10) == Flag.AT_BOUND | Flag.NO_DOF
