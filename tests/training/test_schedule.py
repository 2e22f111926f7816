from itertools import pairwise

import pytest

from cotrain.training.schedule import learning_rate

# As published.
SCHEDULE = {"power": 0.9, "warmup_iterations": 1000, "warmup_factor": 0.001}


@pytest.mark.parametrize(
    ("iteration", "expected", "last_digit"),
    [(0, 2.0e-6, 1e-7), (1000, 1.7735e-3, 1e-7), (4000, 1.0718e-3, 1e-7), (7999, 6.1e-7, 1e-8)],
)
def test_published_values(iteration, expected, last_digit):
    assert learning_rate(iteration, 8000, 0.002, **SCHEDULE) == pytest.approx(expected, abs=last_digit / 2)


def test_warm_up_multiplies_the_decay():
    # Halfway through the warm-up: (0.001 · 0.5 + 0.5) · (1 − 1/16)^0.9.
    assert learning_rate(500, 8000, 1.0, **SCHEDULE) == pytest.approx(0.5005 * 0.9375**0.9)


def test_rises_in_the_warm_up_and_falls_after_it():
    rates = [learning_rate(i, 8000, 0.002, **SCHEDULE) for i in range(8000)]
    top = rates.index(max(rates))
    # The warm-up rises faster than the decay falls until near its end.
    assert 850 < top <= 1000
    assert all(a < b for a, b in pairwise(rates[: top + 1]))
    assert all(a > b for a, b in pairwise(rates[top:]))
    assert min(rates) > 0


def test_without_warm_up_and_decay_it_is_constant():
    constant = {**SCHEDULE, "power": 0, "warmup_iterations": 0}
    assert {learning_rate(i, 10, 0.5, **constant) for i in range(10)} == {0.5}
