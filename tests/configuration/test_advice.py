import re

import pytest

from cotrain.configuration.advice import StageWork, advice, drawn_images, stage_works, summary
from cotrain.configuration.crop_sizes import limit_of_crops, scaled_size
from cotrain.configuration.reading import merged, resolve

STREETS = {"layout": "streets", "look": "game", "images": 240, "width": 384, "height": 216}
# All stages long enough, and as many images as the steps draw.
SOUND = {
    "run": "demo",
    "label_space": "cityscapes7",
    "datasets": {"game": STREETS, "camera": {**STREETS, "look": "camera", "images": 200}},
    "source": ["game"],
    "target": "camera",
    "training": {
        "crop": [160, 224],
        "warmup_iterations": 20,
        "average_decay": 0.99,
        "source_augmentation": {"short_sides": [160, 216]},
        "target_augmentation": {"short_sides": [160, 216]},
    },
    "baseline": {"iterations": 360},
    "self_training": {"rounds": 2, "iterations": 120, "images_per_round": 120, "keep": 80},
    "co_training": {"cycles": 1, "iterations": 100, "images_per_cycle": 120, "keep": 80},
    "final": {"iterations": 400},
}
IMAGES = {"game": 240, "camera": 200}
SIZE = (216, 384)


def configuration(**changes):
    return resolve(merged(SOUND, changes))


def lines(images=IMAGES, size=SIZE, **changes):
    return advice(configuration(**changes), images, size)


def test_the_work_of_each_stage_worked_out_by_hand():
    assert stage_works(configuration(), IMAGES) == [
        # 360 batches of 4 crops of 240 images.
        StageWork("baseline", 1, 360, 6.0, None),
        # 120 batches of 2 and 2; 80 images are kept.
        StageWork("self_training", 2, 120, 1.0, 3.0),
        # Two branches; 100 batches of 1 and 3.
        StageWork("co_training", 2, 100, 100 / 240, 3.75),
        StageWork("final", 1, 400, 800 / 240, 4.0),
    ]


def test_a_step_draws_no_more_than_there_is():
    section = configuration(self_training={"every": 3}).self_training
    assert drawn_images(section, 200) == 67
    assert drawn_images(section, 1000) == 120
    assert drawn_images(configuration(self_training={"images_per_round": -1}).self_training, 7) == 7


def test_the_summary_names_what_is_learnt_from_what():
    text = summary(configuration(), IMAGES)
    assert "demo, 7 classes (cityscapes7), seed 100" in text
    assert "game (240 images)" in text
    assert "none: no model is scored" in text
    assert "4 crops of 224×160 pixels" in text
    # 360 + 2 × 120 + 2 × 100 + 400
    assert "1 200 iterations in all" in text
    assert "game (1 image)" in summary(configuration(), {**IMAGES, "game": 1})


def test_the_summary_says_what_only_branch_b_has():
    assert "branch b" not in summary(configuration(), IMAGES)
    more = {"more": {**STREETS, "seed": 2}}
    own = {"source_b": ["more"], "network_b": {"backbone": "tf_efficientnet_lite1"}}
    text = summary(configuration(datasets=more, co_training=own), {**IMAGES, "more": 1})
    lines = text.splitlines()
    assert lines[lines.index("source   game (240 images)") + 1] == "         branch b: more (1 image)"
    assert "         branch b: deeplabv3plus, tf_efficientnet_lite1" in lines


def test_nothing_is_said_of_what_fits():
    # In a cycle, only 42 % of the source images are seen; the baseline has seen all of them.
    assert lines() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"self_training": {"iterations": 50}, "training": {"average_decay": 0.0}},
            "self_training.iterations is 50: a network learns next to nothing in fewer than 100 iterations",
        ),
        (
            {"training": {"warmup_iterations": 100}},
            "training.warmup_iterations is 100, and co_training ends after 100 iterations, before the "
            "learning "
            "rate has its value; expected at most a tenth of them, 10",
        ),
        ({"training": {"warmup_iterations": 51}}, "co_training ends after 100 iterations, soon after;"),
        (
            {"training": {"average_decay": 0.995}},
            "reaches back about 200 iterations, and co_training has 100, so it still holds the weights that "
            "the "
            "training began with; expected at most 0.98",
        ),
        (
            {"self_training": {"images_per_round": 500}},
            "self_training.images_per_round is 500, and camera has 200 images to draw from",
        ),
        (
            {"self_training": {"keep": 120}},
            "self_training.keep is 120, and a step labels 120 images: all are kept",
        ),
        (
            {"datasets": {"game": {"images": 3600}}},
            "baseline.iterations is 360: only 40 % of the source images are seen in a training, and each "
            "once; fewer images or more iterations would fit better",
        ),
        (
            {"final": {"iterations": 100}, "datasets": {"camera": {"images": 600}}},
            "final.iterations is 100: only 33 % of the target images are seen",
        ),
        (
            {"training": {"target_augmentation": {"short_sides": [700, 800]}}},
            "images are labelled at a short side of 216 pixels (the images' own size), and training scales "
            "those "
            "of the target to 700 to 800",
        ),
        (
            {"prediction": {"short_side": 72}},
            "images are labelled at a short side of 72 pixels (as prediction says)",
        ),
        ({"prediction": {"resize": [100, 384]}}, "a short side of 100 pixels (as prediction says)"),
    ],
)
def test_what_is_hardly_meant_is_named(changes, expected):
    own = {name: dataset["images"] for name, dataset in changes.get("datasets", {}).items()}
    images = {**IMAGES, **own}
    assert [line for line in lines(images, **changes) if expected in line], lines(images, **changes)


def test_a_model_that_is_taken_as_it_is_needs_no_advice(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    taken = {"iterations": 0, "initial_weights": str(tmp_path / "w.safetensors")}
    assert lines(baseline=taken) == []
    text = summary(configuration(baseline=taken), IMAGES)
    # 2 × 120 + 2 × 100 + 400
    assert "840 iterations in all" in text
    assert re.search(r"^baseline +1 +0 +0 +–$", text, re.MULTILINE)


def test_advice_names_only_keys_that_there_are():
    more = {name: {**STREETS, "seed": place} for place, name in enumerate(("more", "scored"), start=2)}
    found = lines(
        {**IMAGES, "more": 240, "scored": 20},
        datasets=more,
        test="scored",
        upper_bound=True,
        baseline={"iterations": 10},
        co_training={"source_b": ["more"]},
    )
    assert any("baseline.iterations is 10" in line for line in found)
    assert not any(name in line for line in found for name in ("baseline_b", "upper_bound"))


def test_scaled_sizes_by_hand():
    assert scaled_size((1080, 1920), None, 216, 4096) == (216, 384)
    assert scaled_size((1080, 1920), (540, 540), 270, 4096) == (270, 270)
    assert scaled_size((1000, 4000), None, 500, 1000) == (250, 1000)
    assert scaled_size((30, 50), None, None, 40) == (30, 50)


def test_a_crop_fits_if_one_image_is_large_enough():
    sizes = [(100, 100), (216, 384)]
    assert limit_of_crops((216, 384), sizes, None, (), 4096) is None
    assert limit_of_crops((217, 384), sizes, None, (), 4096) == (216, 384)
    assert limit_of_crops((300, 300), [(100, 100)], None, (200, 300), 4096) is None
    assert limit_of_crops((301, 300), [(100, 100)], None, (200, 300), 4096) == (300, 300)
