"""A short run of `make fuzz`, always with the same cases."""

from random import Random

import pytest

from tests.fuzz.configurations import check, drawn
from tests.fuzz.formats import FORMATS
from tests.fuzz.run import cases, outcome

# Reading it imports torch, and most of its cases are those of any JSON file.
SHORT = [kind.name for kind in FORMATS if kind.name != "training.json"]


@pytest.mark.parametrize("name", SHORT)
def test_damaged_files_are_read_or_refused(name, tmp_path):
    run_case = cases(name, tmp_path)
    assert {run_case(7, number) for number in range(25)} <= {"read", "refused"}


def test_any_configuration_plans_or_is_refused():
    results = [outcome(lambda number=number: check(drawn(Random(f"7/{number}")))) for number in range(120)]
    assert {*results} == {"read", "refused"}
