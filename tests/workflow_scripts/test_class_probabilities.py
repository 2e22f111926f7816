import numpy as np
import pytest

from cotrain.configuration.sections import InferenceSettings
from cotrain.data.images import read_image
from cotrain.data.predictions import PredictionReader
from cotrain.errors import InputError
from workflow_scripts import class_probabilities, predict


def run(tmp_path, flags, image):
    class_probabilities.main([*flags, "--image", str(image), "--output", str(tmp_path / "shown.npy")])
    return np.load(tmp_path / "shown.npy")


@pytest.mark.parametrize("views", [{}, {"scales": (0.5, 1.0), "flip": True}])
def test_the_largest_is_what_a_prediction_keeps(model, tmp_path, settings_file, views):
    items, flags = model
    flags = [*flags[:-1], settings_file(InferenceSettings(batch_size=1, **views), "views")]
    maps = run(tmp_path, flags, items[2].image)
    assert (maps.dtype, maps.shape) == (np.float32, (11, 40, 48))
    np.testing.assert_allclose(maps.sum(0), 1, atol=1e-5)
    predict.main([*flags, "--images", str(tmp_path / "images.tsv"), "--output", str(tmp_path / "0.h5")])
    with PredictionReader([tmp_path / "0.h5"]) as reader:
        classes, levels = reader.read(items[2].id)
    np.testing.assert_array_equal(maps.argmax(0), classes)
    assert np.abs(maps.max(0) * 65535.0 - levels).max() <= 1
    assert read_image(tmp_path / "shown.png").shape[1] > 1000


def test_an_image_that_is_none_is_named(model, tmp_path):
    _, flags = model
    with pytest.raises(InputError, match=r"gone\.png: cannot be read"):
        run(tmp_path, flags, tmp_path / "gone.png")


def test_maps_are_npy_files(tmp_path):
    arguments = ["--model", "m.safetensors", "--image", "a.png", "--output", str(tmp_path / "shown")]
    with pytest.raises(InputError, match=r"--output: found .*shown, expected a name that ends in \.npy"):
        class_probabilities.main(arguments)
