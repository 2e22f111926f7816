"""What jobs ask for: figures by hand, and that more work asks for more."""

import json

import pytest

from cotrain.configuration.requirements import (
    Images,
    Needs,
    images_of_check,
    of_images,
    of_lists,
    of_prediction,
    of_training,
)
from cotrain.data.network_sizes import NetworkSize
from cotrain.errors import InputError

SMALL = NetworkSize(
    parameters=1_000_000,
    tensors=100,
    bytes=4_000_000,
    operations_a_pixel=10_000,
    saved_bytes_a_pixel=1_000,
)
TRAINING = {
    "size": SMALL,
    "iterations": 6_000,
    "batch_size": 4,
    "crop": (100, 250),
    "classes": 10,
    "frame": 2_000_000,
    "images": 1_000,
    "threads": 2,
    "processes": 1,
    "has_gpu": False,
}


def test_a_training_on_a_cpu_by_hand():
    # Memory: a process with torch, 4 kB an image, 40 B a parameter; 100 000 pixels of twice 1 000 B and of
    # 16 B for each of 10 classes; two threads with a frame and a batch at 60 B a pixel.
    memory = 1_800e6 + 4e6 + 40e6 + 100_000 * (2_000 + 160) + 2 * 2_100_000 * 60
    # Time: three passes of 10 000 operations a pixel, on two cores of 8·10⁹ a second, 6 000 times; ten
    # minutes to start.
    seconds = 6_000 * 3 * 10_000 * 100_000 / 16e9
    # Disk: 4 B of a parameter, for weights, their average, and two saves of four values each.
    assert of_training(**TRAINING) == Needs(round(memory / 1e6), 10 + round(seconds / 60), 100 + 40)


def test_a_gpu_holds_the_feature_maps_and_a_small_network_waits_for_python():
    needs = of_training(**TRAINING | {"has_gpu": True})
    assert needs.memory == round((6_000e6 + 4e6 + 40e6 + 2 * 2_100_000 * 60) / 1e6)
    # A tenth of a second an iteration at least.
    assert needs.minutes == 10 + 10


def test_processes_share_the_work_but_not_the_weights():
    one, two = of_training(**TRAINING), of_training(**TRAINING | {"processes": 2, "threads": 4})
    assert two.minutes - 10 == pytest.approx((one.minutes - 10) / 2, abs=1)
    assert two.memory - one.memory == pytest.approx(1_800 + 4 + 40 + 2 * 2.1 * 60, abs=1)


@pytest.mark.parametrize(
    ("key", "more"),
    [("batch_size", 8), ("crop", (200, 250)), ("classes", 100), ("frame", 8_000_000), ("threads", 4)],
)
def test_more_asks_for_more_memory(key, more):
    assert of_training(**TRAINING | {key: more}).memory > of_training(**TRAINING).memory


def test_predictions_by_hand():
    images = Images(100, 1_000_000, 50_000_000)
    needs = of_prediction(SMALL, images, classes=10, batch_size=2, views=3, threads=2, has_gpu=False)
    # Two images of a megapixel: 16 B for each class, a quarter of the feature maps, 60 B.
    assert needs.memory == round((1_800e6 + 0.4e6 + 8e6 + 2e6 * (160 + 250 + 60)) / 1e6)
    seconds = 3 * 50e6 * 10_000 / 16e9 + 100 * 0.01 + 50 * 0.3
    assert needs.minutes == 10 + round(seconds / 60)
    assert needs.disk == 100 + 125


def test_steps_that_work_on_images_and_on_lists_by_hand():
    images = Images(1_000, 2_000_000, 2_000_000_000)
    assert of_images(images, threads=4, written=1.5) == Needs(
        500 + 4 + 480, 10 + round((10 + 600) / 4 / 60), 3_100
    )
    # A process for each thread, a second for each image.
    assert of_images(images, 4, processes=True) == Needs(
        2_500 + 4 + 480, 10 + round((1_010 + 600) / 4 / 60), 100
    )
    assert of_lists(500_000) == Needs(2_500, 10 + round(5_000 / 60), 350)


def test_part_of_a_set():
    images = Images(10, 7, 50)
    assert images.part(4) == Images(4, 7, 20)
    assert images.part(99) == images
    assert Images(0, 0, 0).part(3) == Images(0, 0, 0)


def test_what_a_check_has_found(tmp_path):
    report = tmp_path / "a.check.json"
    assert images_of_check(report) is None
    report.write_text(json.dumps({"images": 5, "sizes": {"4x3": 2, "10x2": 3}, "warnings": []}))
    assert images_of_check(report) == Images(5, 20, 84)
    report.write_text('{"sizes": {}}')
    assert images_of_check(report) == Images(0, 0, 0)
    report.write_text('{"sizes": {"4x3": -1}}')
    with pytest.raises(InputError, match="check_data"):
        images_of_check(report)
