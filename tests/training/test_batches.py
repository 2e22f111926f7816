import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from cotrain.adaptation.sampling import ShuffledSampler
from cotrain.adaptation.thresholds import quantise
from cotrain.configuration.sections import Augmentation, RareClassSampling
from cotrain.data.decoded import decode
from cotrain.data.images import read_image, read_label, write_label
from cotrain.errors import InputError
from cotrain.training.batches import Batches, Samples, loader_threads
from cotrain.training.batches import make_batches as batches_of_settings

SEED = 5
CLASSES = 11


@pytest.fixture
def make_batches(make_items, training_settings):
    """Return a function that makes batches of 5 source images (green is 10 · id) and 4 target images."""
    augmentation = training_settings.source_augmentation

    def make(ratio=(2, 1), class_mixing="none", thresholds=None, seed=SEED, with_target=True):
        sets = {}
        for name, number in (("source", 5), ("target", 4)):
            items = make_items(name, number, seed=number)
            sampler = ShuffledSampler(number, seed, stream=name)
            sets[name] = Samples(name, items, CLASSES, sampler, augmentation, (32, 32), seed)
        target = sets["target"] if with_target else None
        return Batches(sets["source"], target, ratio, class_mixing, thresholds, seed)

    return make


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_shapes_and_ratio(make_batches):
    batches = make_batches((2, 1))
    images, labels = batches.batch(3)
    assert (images.shape, images.dtype) == ((3, 32, 32, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((3, 32, 32), np.uint8)
    parts = [batches.source.crop(6), batches.source.crop(7), batches.target.crop(3)]
    for index, part in enumerate(parts):
        assert equal((images[index], labels[index]), part)


def test_every_crop_comes_from_the_set_that_it_should(make_batches):
    batches = make_batches((1, 1))
    for iteration in range(8):
        _, labels = batches.batch(iteration)
        for label, samples in zip(labels, (batches.source, batches.target), strict=True):
            item = samples.items[samples.sampler.index(iteration)]
            assert set(np.unique(label)) <= set(np.unique(read_label(item.label)))


def test_source_only(make_batches):
    batches = make_batches((4, 0), with_target=False)
    images, _ = batches.batch(2)
    assert len(images) == 4
    for slot in range(4):
        np.testing.assert_array_equal(images[slot], batches.source.crop(8 + slot)[0])


def test_every_image_of_a_set_is_seen_once_a_pass(make_batches):
    batches = make_batches((1, 3))
    seen = [batches.target.sampler.index(position) for position in range(4)]
    assert sorted(seen) == [0, 1, 2, 3]


@pytest.mark.parametrize("class_mixing", ["none", "plain", "on_demand"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("first", [0, 4])
def test_pure_function_of_the_iteration(make_batches, class_mixing, threads, first):
    thresholds = quantise(np.linspace(0.9, 0.5, 11))
    expected = make_batches(class_mixing=class_mixing, thresholds=thresholds)
    streamed = list(make_batches(class_mixing=class_mixing, thresholds=thresholds).stream(first, 7, threads))
    assert len(streamed) == 7 - first
    # In another order, so that nothing can be carried from one batch to the next.
    for iteration in reversed(range(first, 7)):
        assert equal(streamed[iteration - first], expected.batch(iteration))


def test_seed_and_iteration_matter(make_batches):
    batches = make_batches()
    assert not equal(batches.batch(0), batches.batch(1))
    assert not equal(batches.batch(0), make_batches(seed=6).batch(0))


def test_donors_are_further_source_crops(make_batches):
    thresholds = quantise(np.linspace(0.9, 0.5, 11))
    batches = make_batches((1, 2), "on_demand", thresholds)
    iteration = 2
    images, labels = batches.batch(iteration)
    for slot in range(2):
        # Three source crops an iteration: one to train on and two donors.
        donor_image, donor_label = batches.source.crop(iteration * 3 + 1 + slot)
        target_image, target_label = batches.target.crop(iteration * 2 + slot)
        present = np.unique(donor_label)
        # Thresholds fall with the train id: the last half of the present classes is pasted.
        pasted = np.isin(donor_label, present[(len(present) + 1) // 2 :])
        assert 0 < pasted.sum() < pasted.size
        np.testing.assert_array_equal(labels[1 + slot], np.where(pasted, donor_label, target_label))
        expected = np.where(pasted[..., None], donor_image, target_image)
        np.testing.assert_array_equal(images[1 + slot], expected)
    assert equal((images[0], labels[0]), batches.source.crop(iteration * 3))


def test_plain_mixing_pastes_the_larger_half(make_batches):
    batches = make_batches((1, 1), "plain")
    for iteration in range(4):
        _, labels = batches.batch(iteration)
        donor = batches.source.crop(iteration * 2 + 1)[1]
        target = batches.target.crop(iteration)[1]
        wholly = [c for c in np.unique(donor) if (labels[1][donor == c] == c).all()]
        differing = [c for c in np.unique(donor) if (target[donor == c] != c).any()]
        assert len(set(wholly) & set(differing)) <= (len(np.unique(donor)) + 1) // 2
        assert len(wholly) >= (len(np.unique(donor)) + 1) // 2


def test_every_slot_of_every_iteration_draws_its_own_classes(make_batches):
    """All donors show the same eleven classes; there are 462 ways to paste six of them."""
    donor = np.arange(1024, dtype=np.uint8).reshape(32, 32) % 11

    class Alike:
        def __init__(self, label):
            self.label = label

        def crop(self, position):
            return np.zeros((32, 32, 3), np.uint8), self.label

    void = np.full_like(donor, 255)
    batches = replace(make_batches((1, 3), "plain"), source=Alike(donor), target=Alike(void))
    pasted = [
        frozenset(np.unique(label).tolist()) - {255}
        for iteration in range(4)
        for label in batches.batch(iteration)[1][1:]
    ]
    assert {len(classes) for classes in pasted} == {6}
    assert len(set(pasted)) >= 11


def test_an_unreadable_image_is_reported(make_batches, tmp_path):
    batches = make_batches()
    broken = [replace(item, image=tmp_path / "gone.png") for item in batches.source.items]
    batches = replace(batches, source=replace(batches.source, items=broken))
    with pytest.raises(Exception, match=r"gone\.png"):
        next(batches.stream(0, 3, 2))


def test_labels_that_are_no_train_ids_are_reported(make_batches):
    batches = make_batches((4, 1))
    path = batches.source.items[2].label
    own = read_label(path)
    own[own == 0] = 255
    write_label(path, own, [])
    assert len(list(batches.stream(0, 5, 1))) == 5
    own[:] = 11
    write_label(path, own, [])
    text = rf"^{re.escape(str(path))}: holds id 11, expected train ids 0 to 10 and 255 \(void\); the step"
    with pytest.raises(InputError, match=text):
        list(batches.stream(0, 5, 1))


def test_a_closed_stream_stops_preparing(make_batches, monkeypatch):
    prepared = []
    original = Batches.batch

    def counted(self, iteration, slots=None):
        prepared.append(iteration)
        return original(self, iteration)

    monkeypatch.setattr(Batches, "batch", counted)
    stream = make_batches().stream(0, 100, 2)
    next(stream)
    stream.close()
    assert max(prepared) <= 4


def test_crop_reads_what_the_manifest_names(make_batches):
    batches = make_batches()
    samples = replace(
        batches.source,
        augmentation=msgspec.structs.replace(batches.source.augmentation, horizontal_flip=0.0),
        crop_size=(40, 48),
    )
    item = samples.items[samples.sampler.index(11)]
    image, label = samples.crop(11)
    np.testing.assert_array_equal(image, read_image(item.image))
    np.testing.assert_array_equal(label, read_label(item.label))


def test_threads_that_prepare_batches():
    assert [loader_threads(8, device) for device in ("cuda", "mps", "cpu")] == [8, 8, 4]
    assert loader_threads(1, "cpu") == 1


@pytest.mark.parametrize("class_mixing", ["none", "plain"])
def test_shares_of_a_batch_make_the_batch(make_batches, class_mixing):
    batches = make_batches((2, 2), class_mixing)
    images, labels = batches.batch(5)
    for slots in ([0, 2], [1, 3], [3]):
        assert equal(batches.batch(5, slots), (images[slots], labels[slots]))
    shared = list(batches.stream(4, 6, 2, [1, 3]))
    assert equal(shared[1], (images[[1, 3]], labels[[1, 3]]))


def test_decoded_images_give_the_same_batches(make_batches, tmp_path, monkeypatch):
    batches = make_batches((2, 2), "plain")
    expected = batches.batch(7)
    with_decoded = {
        name: replace(samples, decoded={item.image: decode(item, tmp_path) for item in samples.items})
        for name, samples in (("source", batches.source), ("target", batches.target))
    }

    def fail(path):
        raise AssertionError(f"{path} is decoded")

    monkeypatch.setattr("cotrain.training.batches.read_image", fail)
    assert equal(replace(batches, **with_decoded).batch(7), expected)


class TestOfSettings:
    """`make_batches`: what a training's settings mean for its batches."""

    @pytest.fixture
    def settings(self, training_settings):
        return msgspec.structs.replace(
            training_settings,
            crop=(16, 24),
            batch_size=4,
            batch_ratio=(1, 3),
            class_mixing="on_demand",
            source_augmentation=Augmentation(horizontal_flip=0.2),
            target_augmentation=Augmentation(vertical_flip=0.3),
            rare_class_sampling=RareClassSampling(enabled=True, min_pixels=7, temperature=0.25),
        )

    @pytest.fixture
    def items(self, make_items):
        return {
            name: make_items(name, number, seed=number) for name, number in (("source", 3), ("target", 4))
        }

    def test_every_setting_reaches_its_place(self, settings, items):
        thresholds = quantise(np.linspace(0.9, 0.5, 11))
        # Class 0 in image 0 with 8 pixels, class 1 in images 1 and 2 with 8 and 24.
        counts = np.zeros((3, 11), np.int64)
        counts[0, 0], counts[1, 1], counts[2, 1] = 8, 8, 24
        batches = batches_of_settings(
            settings, "model", CLASSES, **items, thresholds=thresholds, class_counts=counts
        )
        assert (batches.ratio, batches.class_mixing) == ((1, 3), "on_demand")
        np.testing.assert_array_equal(batches.thresholds, thresholds)
        for samples, name in ((batches.source, "source"), (batches.target, "target")):
            assert samples.items == items[name]
            assert samples.augmentation == getattr(settings, f"{name}_augmentation")
            assert samples.crop_size == (16, 24)
        assert batches.batch(0)[0].shape == (4, 16, 24, 3)
        # Shares 0.2 and 0.8 of the pixels: exp(0.8 / 0.25) against exp(0.2 / 0.25).
        drawn = np.array([batches.source.sampler.index(position) for position in range(4000)])
        of_class_0 = 1 / (1 + np.exp(-0.6 / 0.25))
        assert (drawn == 0).mean() == pytest.approx(of_class_0, abs=0.02)
        # More than 7 pixels of class 1 are in both others, more than 8 in one.
        assert (drawn == 1).any()
        rarer = RareClassSampling(enabled=True, min_pixels=8, temperature=0.25)
        changed = msgspec.structs.replace(settings, rare_class_sampling=rarer)
        batches = batches_of_settings(
            changed, "model", CLASSES, **items, thresholds=thresholds, class_counts=counts
        )
        assert 1 not in [batches.source.sampler.index(position) for position in range(1000)]

    def test_every_model_and_every_seed_sees_crops_of_its_own(self, settings, items):
        plain = msgspec.structs.replace(
            settings, class_mixing="plain", rare_class_sampling=RareClassSampling(enabled=False)
        )
        first = batches_of_settings(plain, "one", CLASSES, **items).batch(0)
        assert equal(batches_of_settings(plain, "one", CLASSES, **items).batch(0), first)
        assert not equal(batches_of_settings(plain, "other", CLASSES, **items).batch(0), first)
        other = msgspec.structs.replace(plain, seed=plain.seed + 1)
        assert not equal(batches_of_settings(other, "one", CLASSES, **items).batch(0), first)

    def test_without_a_target_the_whole_batch_is_source(self, settings, items):
        off = RareClassSampling(enabled=False)
        for size in (4, 6):
            plain = msgspec.structs.replace(settings, rare_class_sampling=off, batch_size=size)
            batches = batches_of_settings(plain, "model", CLASSES, items["source"])
            assert (batches.ratio, batches.class_mixing, batches.target) == ((size, 0), "none", None)

    def test_what_is_missing_is_named(self, settings, items):
        with pytest.raises(InputError, match="model: rare_class_sampling needs --class-statistics"):
            batches_of_settings(settings, "model", CLASSES, **items)
        counts = np.ones((3, 11), np.int64)
        with pytest.raises(InputError, match="model: class_mixing: on_demand needs --thresholds"):
            batches_of_settings(settings, "model", CLASSES, **items, class_counts=counts)
        for ratio, message in ((None, "batch_ratio is missing"), ((1, 2), "batch_ratio adds up to 3, exp")):
            wrong = msgspec.structs.replace(settings, batch_ratio=ratio, class_mixing="none")
            with pytest.raises(InputError, match=f"model: {message}"):
                batches_of_settings(wrong, "model", CLASSES, **items, class_counts=counts)
