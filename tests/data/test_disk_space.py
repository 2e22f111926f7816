import json
from pathlib import Path

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from cotrain.configuration.reading import resolve
from cotrain.configuration.run_plan import Storage
from cotrain.data.disk_space import (
    bytes_below,
    bytes_of_model,
    bytes_of_run,
    bytes_of_scenes,
    bytes_of_state,
    check_disk,
    check_disk_of_run,
    missing_bytes,
    size_in_words,
)
from cotrain.data.network_sizes import NetworkSize, read_network_sizes
from cotrain.errors import InputError
from cotrain.reporting.overview import counted

# Pixels of the source, of four target images, and their number.
IMAGES = (1000, 400, 4)
# 1 000 trained values and 10 others of 4 bytes.
SIZE = NetworkSize(parameters=1000, tensors=5, bytes=4040, operations_a_pixel=0, saved_bytes_a_pixel=0)


def storage_of(**changes):
    plain = Storage(
        translations=0,
        format="png",
        decoded_cache=False,
        pseudo_labelled=(),
        sample_images=1,
        models={},
        averages=False,
        optimiser_values=1,
    )
    return replace(plain, **changes)


def test_bytes_of_a_run():
    storage = storage_of(translations=2, format="jpg", decoded_cache=True, pseudo_labelled=(2, 9))
    models = {"baseline": "network", "final": "network"}
    storage = replace(storage, sample_images=3, models=models, test_sample_models=1)
    assert bytes_of_run(storage, *IMAGES) == {
        # 1 000 pixels, twice.
        "translated images": 800,
        # Of the source 1 000 pixels, of the steps 200 and 400, of the ensemble 400.
        "labels": 200,
        # At 2.2 bytes: 400 pixels of both branches, of two models the 300 of the sample, of one as many of
        # test images.
        "predictions": 1760 + 1320 + 660,
        "decoded images": 3 * (2000 + 400),
    }


def test_nothing_is_translated_or_decoded():
    sizes = bytes_of_run(storage_of(), *IMAGES)
    assert (sizes["translated images"], sizes["decoded images"]) == (0, 0)


def test_a_disk_with_room(tmp_path):
    # A folder that is not there yet is on the disk of the one above it.
    folder = tmp_path / "not" / "there"
    check_disk({folder: {"labels": 1024}}, "the run")
    with pytest.raises(InputError, match=r"the run needs about \d+\.0 GiB \(\d+\.0 GiB labels\); free"):
        check_disk({folder: {"labels": 2**60, "predictions": 0}}, "the run")


def test_folders_on_one_disk_share_it_and_others_do_not(tmp_path, small_disk):
    """The small disk has 16 KiB free."""
    kib = 1024
    check_disk({tmp_path: {"models": 20 * kib}, small_disk: {"states": 10 * kib}}, "the run")
    with pytest.raises(
        InputError, match=r"the run needs about 20\.0 KiB \(10\.0 KiB models, 10\.0 KiB states\)"
    ):
        check_disk(
            {small_disk / "a": {"models": 10 * kib}, small_disk / "b": {"states": 10 * kib}}, "the run"
        )


def test_bytes_of_models_and_states():
    # 120 bytes a tensor besides the values in a weights file, 400 in a state; 10 000 for the records.
    assert bytes_of_model(storage_of(), SIZE) == 4040 + 5 * 120 + 10_000
    assert bytes_of_model(storage_of(averages=True), SIZE) == 2 * (4040 + 5 * 120) + 10_000
    # Two saves, one of them with a value of the optimiser for each parameter; AdamW has two, the average all.
    assert bytes_of_state(storage_of(), SIZE) == 2 * (4040 + 2000) + 4000 + 2000
    adamw = storage_of(averages=True, optimiser_values=2)
    assert bytes_of_state(adamw, SIZE) == 2 * 2 * (4040 + 2000) + 2 * (4000 + 2000)
    assert bytes_of_state(storage_of(optimiser_values=0), SIZE) == 2 * (4040 + 2000)


def test_bytes_of_scenes():
    assert bytes_of_scenes(3, 100, 10, "jpg") == {"images": 1200, "labels": 300}


def test_what_is_there_is_not_asked_for_again(tmp_path):
    results, states = tmp_path / "results", tmp_path / "state"
    storage = storage_of(models={"baseline": "network", "co_training/00/b": "co_training.network_b"})
    larger = replace(SIZE, parameters=2000, bytes=8040)
    networks = {"network": SIZE, "co_training.network_b": larger}
    images = {"translated images": 500, "labels": 300, "predictions": 100, "decoded images": 0}

    def missing():
        return missing_bytes(storage, images, networks, results, states)

    model, state = ([size(storage, of) for of in (SIZE, larger)] for size in (bytes_of_model, bytes_of_state))
    # The training at work has an optimiser in both saves.
    assert missing() == (images | {"models": sum(model)}, {"states of trainings": sum(state) + 8000 + 2000})

    for path, size in (
        (results / "translated" / "game" / "images" / "0.png", 200),
        (results / "data" / "game" / "labels" / "0.png", 100),
        (results / "pseudo_labels" / "ensemble" / "labels" / "0.png", 150),
        # Rendered scenes are there before the run is checked, and are no part of what it needs.
        (results / "data" / "game" / "scenes" / "images" / "0.jpg", 400),
        (results / "predictions" / "baseline" / "target" / "0.h5", 999),
        (states / "co_training" / "00" / "b" / "last.pt", 700),
        # Its state has been removed, but it will not be trained again.
        (results / "models" / "baseline" / "weights.safetensors", 1),
    ):
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(size))
    assert missing() == (
        {"translated images": 300, "labels": 50, "predictions": 0, "decoded images": 0, "models": model[1]},
        {"states of trainings": state[1] - 700 + 8000 + 2000},
    )
    (results / "models" / "co_training" / "00" / "b").mkdir(parents=True)
    (results / "models" / "co_training" / "00" / "b" / "weights.safetensors").write_bytes(b"w")
    assert missing()[1] == {"states of trainings": 0}


def test_a_file_that_ends_while_it_is_counted_counts_nothing(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(bytes(1000))
    stat = Path.stat

    def once_there(path, **flags):
        # It is there when it is listed and when it is looked at, and gone when its size is asked for.
        if path.name == "b" and asked.append(path) is None and len(asked) % 2 == 0:
            raise FileNotFoundError(path)
        return stat(path, **flags)

    asked = []
    monkeypatch.setattr(Path, "stat", once_there)
    monkeypatch.setattr(Path, "is_file", lambda path: path.stat() is not None)
    assert bytes_below(tmp_path) == 2000


def test_a_network_of_unknown_size(tmp_path):
    with pytest.raises(InputError, match=r"network: its size is not known; run check_networks again"):
        missing_bytes(storage_of(models={"final": "network"}), {}, {}, tmp_path, tmp_path)
    (tmp_path / "networks.json").write_text(
        '{"networks": {"network": {"parameters": 1, "tensors": -1, "bytes": 2, "operations_a_pixel": 3, '
        '"saved_bytes_a_pixel": 4}}}'
    )
    with pytest.raises(
        InputError, match=r"networks\.json: .* \(networks\.network\.tensors: expected an integer >= 0"
    ):
        read_network_sizes(tmp_path / "networks.json")


def test_sizes_in_words():
    assert [size_in_words(size) for size in (512, 3 * 2**20, 5 * 2**29)] == ["0.5 KiB", "3.0 MiB", "2.5 GiB"]


def test_a_run_is_checked_before_it_has_any_file(small_disk):
    """Of 10 source images of 128 × 96 and 20 target images of 64 × 64, whose ensemble is predicted whole."""
    streets = {"layout": "streets", "images": 10, "width": 128, "height": 96}
    target = {"layout": "streets", "look": "camera", "images": 20, "width": 64, "height": 64}
    configuration = resolve(
        {
            "run": "x",
            "datasets": {"game": streets | {"look": "game"}, "camera": target},
            "source": ["game"],
            "target": "camera",
            "training": {"crop": [32, 32], "decoded_cache": True},
            "self_training": {"rounds": 2, "images_per_round": 20, "keep": 10},
            "co_training": {"cycles": 1, "images_per_cycle": 20, "keep": 5},
        }
    )
    found = counted(configuration)
    results, states = small_disk / "results", small_disk / "state"
    with pytest.raises(InputError) as caught:
        check_disk_of_run(configuration, *found, results, states)
    # 122 880 pixels of the source, 81 920 of the target. Bytes a pixel: of the translated source 1.5; of
    # labels 0.1, for the source, for 10, 10, 5 and 5 images of rounds and branches, and for all of the
    # target; of predictions 2.2, for two branches of all images, and six models of the sample, which is all
    # images here too; decoded 3; rendered 0.4, and 0.1 for the labels.
    assert str(caught.value).endswith(
        "disk: its disk has 16.0 KiB free, but the run, without its models, needs about 2.3 MiB (180.0 KiB "
        "translated images, 32.0 KiB labels, 1.4 MiB predictions, 600.0 KiB decoded images, 100.0 KiB "
        "rendered images); free some space, or work in a folder on another disk"
    )
    # Half of the scenes are there, and the sizes of the networks are known.
    scenes = results / "data" / "camera" / "scenes" / "images"
    scenes.mkdir(parents=True)
    (scenes / "0.jpg").write_bytes(bytes(10 * 1024))
    networks = {"networks": {"network": to_builtins(replace(SIZE, parameters=250_000, bytes=2**20))}}
    (results / "data" / "networks.json").write_text(json.dumps(networks))
    # The states: of each model two saves and the optimiser, and once more the optimiser of the one at work.
    with pytest.raises(InputError, match=r"the run needs about .* 6\.1 MiB models, 90\.0 KiB rendered"):
        check_disk_of_run(configuration, *found, results, states)
