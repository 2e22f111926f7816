import numpy as np
import pytest
from PIL import Image

from cotrain.adaptation.thresholds import LEVELS
from cotrain.data.predictions import PredictionReader
from cotrain.errors import InputError
from workflow_scripts import predict

CLASSES = 11


def run(tmp_path, flags, *more, name="0"):
    predict.main([*flags, "--images", str(tmp_path / "images.tsv"), "--output", str(tmp_path / name), *more])
    return np.load(tmp_path / f"{name}.histogram.npy")


def test_predictions_and_their_histogram(model, tmp_path):
    items, flags = model
    histogram = run(tmp_path, flags)
    assert (histogram.shape, histogram.dtype) == ((CLASSES, LEVELS), np.int64)
    counted = np.zeros_like(histogram)
    with PredictionReader([tmp_path / "0.h5"]) as reader:
        for item in items:
            classes, levels = reader.read(item.id)
            assert classes.shape == (item.height, item.width)
            np.add.at(counted, (classes, levels), 1)
    np.testing.assert_array_equal(histogram, counted)


def test_shards_together_are_the_whole(model, tmp_path):
    items, flags = model
    whole = run(tmp_path, flags, name="whole")
    # More shards than images: the last ones are empty files, which are as good as any.
    parts = [
        run(tmp_path, flags, "--shard", str(s), "--shards", "7", name=f"p{s}") for s in (0, 1, 2, 3, 4, 6)
    ]
    np.testing.assert_array_equal(sum(parts), whole)
    assert not parts[-1].any()
    paths = [tmp_path / f"p{s}.h5" for s in (0, 1, 2, 3, 4, 6)]
    with PredictionReader(paths) as cut, PredictionReader([tmp_path / "whole.h5"]) as uncut:
        for item in items:
            for one, other in zip(cut.read(item.id), uncut.read(item.id), strict=True):
                np.testing.assert_array_equal(one, other)


def test_ego_vehicle_is_not_counted(model, tmp_path):
    _, flags = model
    mask = np.zeros((40, 48), np.uint8)
    mask[30:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    histogram = run(tmp_path, flags, "--ego-vehicle-mask", str(tmp_path / "mask.png"))
    assert histogram.sum() == 5 * 30 * 48


def test_a_failure_leaves_no_file(model, tmp_path):
    items, flags = model
    items[3].image.write_bytes(b"")
    with pytest.raises(InputError, match=r"3\.png"):
        run(tmp_path, flags)
    assert not list(tmp_path.glob("*.h5"))
    assert not list(tmp_path.glob("*.npy"))
