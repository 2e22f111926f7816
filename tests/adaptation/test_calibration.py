import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotrain.adaptation.calibration import (
    Calibration,
    calibrated,
    fit_temperature,
    read_temperature,
    write_calibration,
)
from cotrain.errors import InputError


def of_two_classes(gap, right, wrong):
    """Return logits (gap, 0) of `right` pixels of the first class and `wrong` of the second, and labels."""
    logits = np.tile(np.array([[gap, 0.0]], np.float32), (right + wrong, 1))
    return logits, np.repeat(np.array([0, 1], np.uint8), [right, wrong])


def test_by_hand():
    # Three of four are right, so the best probability is 3/4, at logits ln 3 apart: T = gap / ln 3.
    logits, labels = of_two_classes(2.0, 3, 1)
    assert fit_temperature(logits, labels) == pytest.approx(2 / np.log(3), rel=1e-5)
    calibration = calibrated(logits, labels, 7)
    assert (calibration.images, calibration.pixels, calibration.accuracy) == (7, 4, 0.75)
    before = 1 / (1 + np.exp(-2))
    assert calibration.confidence == pytest.approx((before, 0.75), rel=1e-5)
    losses = [-(3 * np.log(p) + np.log(1 - p)) / 4 for p in (before, 0.75)]
    assert calibration.negative_log_likelihood == pytest.approx(tuple(losses), rel=1e-5)


@given(st.integers(0, 1000), st.floats(0.3, 3), st.floats(0.25, 4))
def test_logits_times_k_have_a_temperature_times_k(seed, spread, factor):
    rng = np.random.default_rng(seed)
    logits = (spread * rng.normal(size=(200, 4))).astype(np.float32)
    labels = np.where(rng.random(200) < 0.7, logits.argmax(1), rng.integers(0, 4, 200)).astype(np.uint8)
    once, scaled = fit_temperature(logits, labels), fit_temperature(np.float32(factor) * logits, labels)
    assert scaled == pytest.approx(np.clip(factor * once, 0.05, 20), rel=1e-3)
    # A constant added to all logits of a pixel does not change the softmax.
    shifted = logits + rng.normal(size=(200, 1)).astype(np.float32)
    assert fit_temperature(shifted, labels) == pytest.approx(once, rel=1e-3)


@given(st.integers(0, 1000))
def test_no_other_temperature_makes_the_labels_likelier(seed):
    rng = np.random.default_rng(seed)
    logits = (3 * rng.normal(size=(300, 5))).astype(np.float32)
    labels = np.where(rng.random(300) < 0.6, logits.argmax(1), rng.integers(0, 5, 300)).astype(np.uint8)
    best = fit_temperature(logits, labels)

    def loss(temperature):
        z = logits.astype(np.float64) / temperature
        return np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(300), labels])

    assert loss(best) <= min(loss(temperature) for temperature in np.geomspace(0.06, 18, 60)) + 1e-7


def test_labels_drawn_from_the_softmax_need_no_temperature():
    rng = np.random.default_rng(3)
    logits = (2 * rng.normal(size=(50_000, 6))).astype(np.float32)
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1).astype(np.uint8)
    assert fit_temperature(logits, labels) == pytest.approx(1, abs=0.03)
    calibration = calibrated(logits, labels, 1)
    assert calibration.confidence[1] == pytest.approx(calibration.accuracy, abs=0.01)


def test_the_limits():
    # If all labels are right, higher confidences are always better. If they are random, lower ones are.
    assert fit_temperature(*of_two_classes(1.0, 5, 0)) == pytest.approx(0.05)
    assert fit_temperature(*of_two_classes(1.0, 2, 2)) == pytest.approx(20)
    # A logit so low that its probability underflows still gives a finite number.
    assert np.isfinite(calibrated(*of_two_classes(500.0, 9, 1), 1).negative_log_likelihood).all()


def test_round_trip(tmp_path):
    write_calibration(tmp_path / "t.json", Calibration(1.75, 2, 3, 0.5, (0.9, 0.5), (1.0, 0.5)))
    assert read_temperature(tmp_path / "t.json") == 1.75


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", '{"temperature": "hot"}', '{"temperature": 0}', '{"temperature": true}', None),
        *('{"temperature": NaN}', '{"temperature": -1}', '{"temperature": 1e-300}', '{"temperature": 21}'),
    ],
)
def test_bad_files(tmp_path, content):
    if content is not None:
        (tmp_path / "t.json").write_text(content)
    with pytest.raises(InputError, match=r"t\.json: cannot be read as a temperature"):
        read_temperature(tmp_path / "t.json")


def test_a_number_alone_is_enough(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps({"temperature": 2}))
    assert read_temperature(tmp_path / "t.json") == 2.0
