from dataclasses import replace

import numpy as np
import pytest
import torch

from cotrain.adaptation.thresholds import quantise
from cotrain.data.images import read_image
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.inference import InferenceSettings, batches_of_one_size, predict
from cotrain.networks.settings import NetworkSettings

CPU = torch.device("cpu")
CLASSES = 11
SIZES = ((40, 48), (40, 48), (33, 50), (40, 48))


@pytest.fixture
def network(network_mapping):
    """Return a network whose predictions differ from pixel to pixel."""
    torch.set_num_threads(1)
    made = build_network(NetworkSettings.from_mapping(network_mapping), CLASSES, 1, pretrained=False)
    torch.manual_seed(2)
    torch.nn.init.normal_(made.box.classifier.weight, std=3.0)
    made.train()(torch.randint(0, 256, (4, 3, 64, 64)))
    return made


def predicted(network, items, batch_size, resize=None):
    return list(predict(network, items, InferenceSettings(batch_size, resize, "float32"), CPU))


def test_settings_from_the_configuration():
    made = InferenceSettings.from_mapping({"batch_size": 3, "resize": [64, 96], "shards": 2}, "bfloat16")
    assert made == InferenceSettings(3, (64, 96), "bfloat16")
    assert InferenceSettings.from_mapping({"batch_size": 3, "resize": None}, "auto").resize is None


@pytest.mark.parametrize(
    ("batch_size", "expected"), [(1, [1] * 9), (2, [2, 1, 2, 1, 1, 2]), (9, [2, 1, 3, 1, 2])]
)
def test_batches_keep_order_and_size(make_items, batch_size, expected):
    items = make_items("x", 9, SIZES)
    batches = list(batches_of_one_size(items, batch_size))
    assert [item for batch in batches for item in batch] == items
    assert all(len({(item.width, item.height) for item in batch}) == 1 for batch in batches)
    assert [len(batch) for batch in batches] == expected


@pytest.mark.parametrize("resize", [None, (64, 64)])
def test_batches_of_mixed_sizes_equal_one_by_one(network, make_items, resize):
    items = make_items("x", 9, SIZES)
    single, batched = predicted(network, items, 1, resize), predicted(network, items, 4, resize)
    assert [prediction.item for prediction in batched] == items
    for one, other in zip(single, batched, strict=True):
        assert one.classes.shape == (one.item.height, one.item.width)
        np.testing.assert_array_equal(one.image, read_image(one.item.image))
        # Sums in another order may differ in the last bits, and so may the class of a tie.
        assert np.abs(one.levels.astype(int) - other.levels).max() <= 8
        assert (one.classes != other.classes).mean() < 0.002
    assert len(np.unique(np.concatenate([p.classes.ravel() for p in single]))) > 3


def test_class_and_confidence_are_those_of_the_softmax(network, make_items):
    item = make_items("x", 1)[0]
    prediction = predicted(network, [item], 1)[0]
    images = torch.from_numpy(read_image(item.image)).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = network.eval()(images)
        logits = torch.nn.functional.interpolate(logits, (40, 48), mode="bilinear", align_corners=False)
    softmax = logits.softmax(1)[0].numpy()
    np.testing.assert_array_equal(prediction.classes, softmax.argmax(0))
    assert np.abs(prediction.levels.astype(int) - quantise(softmax.max(0))).max() <= 1


def test_confidences_are_in_range(network, make_items):
    prediction = predicted(network, make_items("x", 1), 1)[0]
    assert (prediction.classes.dtype, prediction.levels.dtype) == (np.uint8, np.uint16)
    # The largest of C shares of 1 is at least 1 / C.
    assert prediction.levels.min() >= 65535 // CLASSES
    assert prediction.classes.max() < CLASSES
    torch.nn.init.normal_(network.box.classifier.weight, std=1e5)
    assert predicted(network, make_items("y", 1), 1)[0].levels.max() == 65535


def test_resize_changes_what_the_network_sees_but_not_the_size(network, make_items):
    seen = []
    network.box.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape[2:])))
    prediction = predicted(network, make_items("x", 1), 1, (64, 80))[0]
    assert seen == [(64, 80)]
    assert prediction.classes.shape == (40, 48)


def test_dropout_and_batch_norm_are_at_rest(network, make_items):
    items = make_items("x", 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    first, again = predicted(network, items, 2), predicted(network, items, 2)
    np.testing.assert_array_equal(first[1].levels, again[1].levels)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_no_images(network):
    assert predicted(network, [], 4) == []


def test_an_image_of_another_size_than_listed_is_reported(network, make_items):
    items = make_items("x", 2)
    items[1] = replace(items[1], width=50)
    with pytest.raises(InputError, match=r"1\.png: is 48 × 40 pixels, its manifest says 50 × 40"):
        predicted(network, items, 2)
