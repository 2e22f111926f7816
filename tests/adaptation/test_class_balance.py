import numpy as np
import pytest

from cotrain.adaptation.class_balance import class_factors


def test_factors_by_hand():
    # 0.25 ** -0.5 = 2; a class of less than 0.0001 counts as one of 0.0001: 0.0001 ** -0.5 = 100.
    factors = class_factors(np.array([0.25, 1.0, 1e-9, 0.0]), 0.5)
    assert factors.dtype == np.float32
    assert factors.tolist() == pytest.approx([2, 1, 100, 100])


def test_an_exponent_of_0_changes_nothing_and_of_1_makes_all_classes_equal():
    means = np.array([0.7, 0.2, 0.1])
    assert class_factors(means, 0).tolist() == [1, 1, 1]
    assert (class_factors(means, 1) * means).tolist() == pytest.approx([1, 1, 1])
