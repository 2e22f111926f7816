import numpy as np
import pytest

from cotrain.data.predictions import PredictionReader, PredictionWriter
from cotrain.errors import InputError


def prediction(seed, shape=(6, 9)):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 19, shape).astype(np.uint8), rng.integers(0, 65536, shape).astype(np.uint16)


@pytest.fixture
def shards(tmp_path):
    for shard in range(2):
        with PredictionWriter(tmp_path / f"{shard}.h5") as writer:
            for number in range(3):
                writer.write(f"image {shard}.{number}@01", *prediction(10 * shard + number, (6, 9 + number)))
    return [tmp_path / "0.h5", tmp_path / "1.h5"]


def test_round_trip_over_shards(shards):
    with PredictionReader(shards) as reader:
        for shard in range(2):
            for number in range(3):
                classes, levels = reader.read(f"image {shard}.{number}@01")
                expected = prediction(10 * shard + number, (6, 9 + number))
                assert (classes.dtype, levels.dtype) == (np.uint8, np.uint16)
                np.testing.assert_array_equal(classes, expected[0])
                np.testing.assert_array_equal(levels, expected[1])


def test_missing_image_is_reported(shards):
    with (
        PredictionReader(shards) as reader,
        pytest.raises(InputError, match=r"image 'x' in .*0\.h5, .*1\.h5"),
    ):
        reader.read("x")


def test_missing_and_damaged_shards_are_reported(shards, tmp_path):
    with pytest.raises(InputError, match=r"gone\.h5: cannot be read as predictions"):
        PredictionReader([*shards, tmp_path / "gone.h5"])
    shards[1].write_bytes(shards[1].read_bytes()[:300])
    with pytest.raises(InputError, match=r"1\.h5: cannot be read as predictions"):
        PredictionReader(shards)


def test_a_shard_without_images(tmp_path):
    with PredictionWriter(tmp_path / "0.h5"):
        pass
    with PredictionReader([tmp_path / "0.h5"]) as reader, pytest.raises(InputError):
        reader.read("x")


def test_an_image_written_twice_is_refused(tmp_path):
    with PredictionWriter(tmp_path / "0.h5") as writer:
        writer.write("x", *prediction(0))
        with pytest.raises(ValueError, match="exists"):
            writer.write("x", *prediction(1))
