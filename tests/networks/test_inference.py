from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cotrain.adaptation.thresholds import quantise
from cotrain.configuration.reading import settings_of
from cotrain.configuration.sections import InferenceSettings
from cotrain.data.images import read_image, write_image, write_label
from cotrain.data.manifests import Item
from cotrain.data.masks import EgoVehicleMask
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.inference import (
    batches_of_one_size,
    intervals,
    labelled_logits,
    mean_probabilities,
    predict,
    size_in_network,
)

CPU = torch.device("cpu")
CLASSES = 11
SIZES = ((40, 48), (40, 48), (33, 50), (40, 48))


@pytest.fixture
def network(network_settings):
    """Return a network whose predictions differ from pixel to pixel."""
    torch.set_num_threads(1)
    network = build_network(network_settings, CLASSES, 1, pretrained=False)
    torch.manual_seed(2)
    torch.nn.init.normal_(network.model.classifier.weight, std=3.0)
    network.train()(torch.randint(0, 256, (4, 3, 64, 64)))
    return network


def predicted(network, items, batch_size, resize=None, **views):
    return predicted_together([network], items, batch_size, resize, **views)


def predicted_together(networks, items, batch_size, resize=None, **views):
    settings = InferenceSettings(batch_size=batch_size, resize=resize, precision="float32", **views)
    return list(predict(networks, batches_of_one_size(items, batch_size), settings, CPU))


def probabilities_of(network, images, size):
    """Return the softmax (C, H, W) of the logits of images (1, 3, h, w), scaled up to `size`."""
    with torch.no_grad():
        logits = network.eval()(images)
        scaled = torch.nn.functional.interpolate(logits, size, mode="bilinear", align_corners=False)
    return scaled.softmax(1)[0]


def assert_is(prediction, expected):
    """Check that a prediction is that of probabilities (C, H, W)."""
    np.testing.assert_array_equal(prediction.classes, expected.argmax(0).numpy())
    levels = quantise(expected.amax(0).numpy())
    assert np.abs(prediction.levels.astype(int) - levels).max() <= 1


def test_settings_from_the_configuration():
    plain = {"batch_size": 3, "resize": [64, 96], "scales": [1.0], "flip": False, "window": None}
    settings = settings_of({**plain, "precision": "bfloat16"}, InferenceSettings, "the settings")
    assert settings == InferenceSettings(batch_size=3, resize=(64, 96), precision="bfloat16")
    views = {**plain, "resize": None, "scales": [0.5, 2.0], "flip": True, "window": [32, 48]}
    settings = settings_of(views, InferenceSettings, "the settings")
    assert settings == InferenceSettings(
        batch_size=3, resize=None, precision="auto", scales=(0.5, 2.0), flip=True, window=(32, 48)
    )


@pytest.mark.parametrize(
    ("batch_size", "expected"), [(1, [1] * 9), (2, [2, 1, 2, 1, 1, 2]), (9, [2, 1, 3, 1, 2])]
)
def test_batches_keep_order_and_size(make_items, batch_size, expected):
    items = make_items("x", 9, SIZES)
    batches = batches_of_one_size(items, batch_size)
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


def test_an_image_that_is_left_out_changes_no_other(network, make_items):
    """Whether it was done before or cannot be read: the batch keeps its size and its places."""
    items = make_items("x", 9, SIZES)
    batches = batches_of_one_size(items, 4)
    settings = InferenceSettings(batch_size=4, precision="float32")
    whole = {one.item.id: one.levels.tobytes() for one in predict([network], batches, settings, CPU)}
    broken = {items[i].image for i in (1, 8)}
    refused = []

    def read(path):
        if path in broken:
            raise InputError("broken")
        return read_image(path)

    left = predict(
        *([network], batches, settings, CPU),
        read=read,
        refused=lambda item, error: refused.append(item.id),
        done={items[i].id for i in (0, 2, 3, 4)},
    )
    found = {one.item.id: one.levels.tobytes() for one in left}
    assert found == {items[i].id: whole[items[i].id] for i in (5, 6, 7)}
    assert refused == [items[1].id, items[8].id]


def test_class_and_confidence_are_those_of_the_softmax(network, make_items):
    item = make_items("x", 1)[0]
    prediction = predicted(network, [item], 1)[0]
    images = torch.from_numpy(read_image(item.image)).permute(2, 0, 1)[None]
    assert_is(prediction, probabilities_of(network, images, (40, 48)))


def test_scales_and_flip_are_averaged(network, make_items):
    item = make_items("x", 1)[0]
    images = torch.from_numpy(read_image(item.image)).permute(2, 0, 1)[None]
    double = torch.nn.functional.interpolate(
        images.float(), (80, 96), mode="bilinear", align_corners=False, antialias=True
    )
    seen = [
        probabilities_of(network, images, (40, 48)),
        probabilities_of(network, images.flip(3), (40, 48)).flip(2),
        probabilities_of(network, double, (40, 48)),
        probabilities_of(network, double.flip(3), (40, 48)).flip(2),
    ]
    assert_is(predicted(network, [item], 1, flip=True)[0], sum(seen[:2]) / 2)
    assert_is(predicted(network, [item], 1, scales=(1.0, 2.0))[0], (seen[0] + seen[2]) / 2)
    assert_is(predicted(network, [item], 1, scales=(1.0, 2.0), flip=True)[0], sum(seen) / 4)


def test_windows_are_averaged_where_they_overlap(network, make_items):
    item = make_items("x", 1)[0]
    images = torch.from_numpy(read_image(item.image)).permute(2, 0, 1)[None]
    # 40 rows in windows of 32, 48 columns in windows of 40: two each way.
    expected, counts = torch.zeros(CLASSES, 40, 48), torch.zeros(40, 48)
    for top in (0, 8):
        for left in (0, 8):
            part = images[:, :, top : top + 32, left : left + 40]
            expected[:, top : top + 32, left : left + 40] += probabilities_of(network, part, (32, 40))
            counts[top : top + 32, left : left + 40] += 1
    assert_is(predicted(network, [item], 1, window=(32, 40))[0], expected / counts)
    # A window that holds the whole image changes nothing.
    whole = predicted(network, [item], 1, window=(64, 64))[0]
    np.testing.assert_array_equal(whole.levels, predicted(network, [item], 1)[0].levels)


def test_probabilities_of_several_networks_are_averaged(network, network_settings, make_items):
    """Networks of two kinds: each has a normalisation and a stride of its own."""
    settings = msgspec.structs.replace(network_settings, backbone="test_convnext", output_stride=32)
    other = build_network(settings, CLASSES, 3, pretrained=False)
    torch.nn.init.normal_(other.model.classifier.weight, std=3.0)
    item = make_items("x", 1)[0]
    images = torch.from_numpy(read_image(item.image)).permute(2, 0, 1)[None]
    seen = [
        probabilities_of(each, view, (40, 48))
        for each in (network, other)
        for view in (images, images.flip(3))
    ]
    assert_is(predicted_together([network, other], [item], 1)[0], (seen[0] + seen[2]) / 2)
    flipped = (seen[0] + seen[1].flip(2) + seen[2] + seen[3].flip(2)) / 4
    assert_is(predicted_together([network, other], [item], 1, flip=True)[0], flipped)
    once, twice = predicted(network, [item], 1)[0], predicted_together([network] * 2, [item], 1)[0]
    np.testing.assert_array_equal(once.levels, twice.levels)


def test_the_temperature_divides_the_logits(network, make_items):
    items = make_items("x", 1)
    images = torch.from_numpy(read_image(items[0].image)).permute(2, 0, 1)[None]
    unscaled = predicted(network, items, 1)[0]
    network.temperature = 2.5
    with torch.no_grad():
        logits = torch.nn.functional.interpolate(
            network.eval()(images), (40, 48), mode="bilinear", align_corners=False
        )
    scaled = predicted(network, items, 1)[0]
    assert_is(scaled, (logits / 2.5).softmax(1)[0])
    np.testing.assert_array_equal(scaled.classes, unscaled.classes)
    assert (scaled.levels < unscaled.levels).all()


def test_factors_of_classes_multiply_the_probabilities(network, make_items):
    items = make_items("x", 2)
    factors = np.linspace(0.2, 3, CLASSES).astype(np.float32)
    settings = InferenceSettings(batch_size=2, precision="float32")
    batches = batches_of_one_size(items, 2)
    changed = 0
    for item, balanced in zip(
        items, predict([network], batches, settings, CPU, factors=factors), strict=True
    ):
        images = torch.from_numpy(read_image(item.image)).permute(2, 0, 1)[None]
        expected = probabilities_of(network, images, (40, 48)) * torch.from_numpy(factors)[:, None, None]
        assert_is(balanced, expected / expected.sum(0))
        changed += int((balanced.classes != predicted(network, [item], 1)[0].classes).sum())
    assert changed


def test_mean_probabilities_are_those_of_all_pixels_but_of_the_own_vehicle(network, make_items, tmp_path):
    # One image has twice as many pixels as the other.
    items = make_items("x", 2, [(40, 48), (40, 96)])
    path = tmp_path / "mask.png"
    Image.fromarray(np.repeat(np.array([0, 255], np.uint8), 20)[:, None].repeat(48, 1)).save(path)
    settings = InferenceSettings(batch_size=4, precision="float32")
    total, pixels = torch.zeros(CLASSES), 0
    for item in items:
        images = torch.from_numpy(read_image(item.image)).permute(2, 0, 1)[None]
        upper = probabilities_of(network, images, (item.height, item.width))[:, :20]
        total, pixels = total + upper.sum((1, 2)), pixels + upper[0].numel()
    means = mean_probabilities([network], items, settings, CPU, EgoVehicleMask(path))
    np.testing.assert_allclose(means, (total / pixels).numpy(), rtol=1e-4)


def test_a_side_of_one_pixel_stays_one_at_every_scale(network, tmp_path):
    write_image(tmp_path / "thin.png", np.full((1, 70, 3), 9, np.uint8))
    items = [Item("thin", tmp_path / "thin.png", 70, 1)]
    (prediction,) = predicted(network, items, 1, scales=(0.4, 1.0))
    assert prediction.classes.shape == (1, 70)


def test_intervals_by_hand():
    assert intervals(10, 10) == intervals(10, 20) == [(0, 10)]
    assert intervals(12, 9) == [(0, 9), (3, 12)]
    assert intervals(21, 9) == [(0, 9), (6, 15), (12, 21)]


@given(st.integers(1, 400), st.integers(3, 200))
def test_intervals_cover_all_and_overlap_by_a_third(length, window):
    found = intervals(length, window)
    assert found[0][0] == 0
    assert found[-1][1] == length
    for (start, end), (following, _) in pairwise(found):
        assert end - start == window
        assert start < following
        assert end - following >= window // 3


def test_confidences_are_in_range(network, make_items):
    prediction = predicted(network, make_items("x", 1), 1)[0]
    assert (prediction.classes.dtype, prediction.levels.dtype) == (np.uint8, np.uint16)
    # The largest of C shares of 1 is at least 1 / C.
    assert prediction.levels.min() >= 65535 // CLASSES
    assert prediction.classes.max() < CLASSES
    torch.nn.init.normal_(network.model.classifier.weight, std=1e5)
    assert predicted(network, make_items("y", 1), 1)[0].levels.max() == 65535


@pytest.mark.parametrize(
    ("size", "settings", "expected"),
    [
        ((1080, 1920), {"short_side": 216}, (216, 384)),
        ((1920, 1080), {"short_side": 216}, (384, 216)),
        ((48, 64), {"short_side": 96}, (96, 128)),
        ((1080, 1920), {"resize": (300, 400)}, (300, 400)),
        ((1080, 1920), {}, (1080, 1920)),
    ],
)
def test_the_size_in_the_network_by_hand(size, settings, expected):
    assert size_in_network(size, InferenceSettings(**settings)) == expected


def test_a_short_side_keeps_the_proportions_of_each_image(network, make_items):
    seen = []
    network.model.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape[2:])))
    items = make_items("x", 9, SIZES)
    predictions = predicted(network, items, 1, short_side=32)
    assert [prediction.classes.shape for prediction in predictions] == [(i.height, i.width) for i in items]
    assert {min(size) for size in seen} == {32}


def test_resize_changes_what_the_network_sees_but_not_the_size(network, make_items):
    seen = []
    network.model.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape[2:])))
    prediction = predicted(network, make_items("x", 1), 1, (64, 80))[0]
    assert seen == [(64, 80)]
    assert prediction.classes.shape == (40, 48)


def test_what_is_made_smaller_is_averaged(network, tmp_path):
    """Every fourth column is white: a quarter is a mean of 63.75; single pixels would be 0 or 255."""
    image = np.zeros((40, 64, 3), np.uint8)
    image[:, ::4] = 255
    write_image(tmp_path / "stripes.png", image)
    # A label keeps the pixel in the middle of each square of four, rounded up.
    label = np.zeros((40, 64), np.uint8)
    label[2::4, 2::4] = 3
    write_label(tmp_path / "label.png", label, [])
    item = Item("stripes", tmp_path / "stripes.png", 64, 40, tmp_path / "label.png")
    seen = []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].float()))
    predicted(network, [item], 1, (10, 16))
    predicted(network, [item], 1, scales=(0.25,))
    settings = InferenceSettings(resize=(10, 16), precision="float32")
    _, ids = labelled_logits(network, item, settings, CPU, pixels=160, seed=1)
    assert ids.tolist() == [3] * 160
    assert [tuple(x.shape) for x in seen] == [(1, 3, 10, 16)] * 3
    for x in seen:
        # Where the columns' weights reach over the border, they are not those of the middle.
        torch.testing.assert_close(x[..., 2:-2], torch.full((1, 3, 10, 12), 63.75), atol=0.01, rtol=0)


@pytest.mark.parametrize(("precision", "dtype"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)])
def test_the_network_runs_in_the_precision_asked_for(network, make_items, precision, dtype):
    item, seen = make_items("x", 1)[0], []
    network.register_forward_hook(lambda module, inputs, logits: seen.append(logits.dtype))
    settings = InferenceSettings(precision=precision)
    list(predict([network], [[item]], settings, CPU))
    labelled_logits(network, item, settings, CPU, pixels=5, seed=1)
    assert seen == [dtype, dtype]


def test_images_of_one_size_go_through_the_network_together(network, make_items):
    seen = []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    predicted(network, make_items("x", 5), 3)
    assert seen == [3, 2]


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
