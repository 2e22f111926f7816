"""Beside what test_train.py shows of a whole training: what it depends on, and its averaged weights."""

import json
import shutil

import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import load_file, save_file
from timm import create_model

from cotrain.configuration.sections import OwnNetworkSettings, PlainTransformerSettings
from cotrain.data.files import sha256_of
from cotrain.data.label_spaces import label_space, make_label_space
from cotrain.data.manifests import write_manifest
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.weights import read_header, save_weights
from cotrain.training.inputs import TrainingFiles, TrainingImages
from cotrain.training.record import read_training_record
from cotrain.training.train_model import backbone_file, check_initial_weights, identity_of, train_model

SPACE = label_space("camvid11")


@pytest.fixture
def train_here(make_items, tmp_path):
    """Return a function that trains the model `name` on three source images and returns its folder."""
    torch.set_num_threads(1)
    write_manifest(tmp_path / "source.tsv", make_items("source", 3))

    def go(name, settings, initial_weights=None):
        train_model(
            name,
            settings,
            SPACE,
            TrainingFiles([tmp_path / "source.tsv"], initial_weights=initial_weights),
            device="cpu",
            threads=1,
            save_every=100,
            log_every=1,
            state_folder=tmp_path / "state" / name,
            output=tmp_path / name,
        )
        return tmp_path / name

    return go


def record(folder):
    return json.loads((folder / "training.json").read_text())


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("none", []), ("timm", []), ("package", []), ("w.safetensors", ["w.safetensors"])],
)
def test_file_of_the_backbones_first_weights(
    training_settings, network_settings, tmp_path, weights, expected
):
    for network in (
        replace(network_settings, backbone_weights=weights),
        PlainTransformerSettings(name="plain_transformer", backbone_weights=weights),
    ):
        settings = replace(training_settings, network=network)
        assert [str(path) for path in backbone_file(settings, TrainingFiles([]))] == expected
        # The weights of another model replace them.
        assert backbone_file(settings, TrainingFiles([], initial_weights=tmp_path / "other")) == []


def test_an_own_network_has_no_such_file(training_settings):
    network = OwnNetworkSettings(name="my.networks:make", arguments={"backbone_weights": "w.safetensors"})
    assert backbone_file(replace(training_settings, network=network), TrainingFiles([])) == []


def test_identity_changes_with_everything_that_decides_what_is_learnt(
    training_settings, make_items, tmp_path
):
    items = make_items("source", 3, sizes=((40, 48), (33, 50)))
    parents = {"a.tsv": "1", "b.tsv": "2"}
    first = ("baseline", training_settings, SPACE, parents, TrainingImages(items[:2], None))
    changes = [
        ("final", *first[1:]),
        (first[0], replace(training_settings, learning_rate=0.02), *first[2:]),
        (first[0], replace(training_settings, batch_ratio=(1, 1)), *first[2:]),
        (first[0], replace(training_settings, deterministic=True), *first[2:]),
        (*first[:2], label_space("cityscapes7"), *first[3:]),
        (*first[:3], {"a.tsv": "1", "b.tsv": "3"}, first[4]),
        # The other order of the sources.
        (*first[:3], {"b.tsv": "2", "a.tsv": "1"}, first[4]),
        (*first[:4], TrainingImages(items[1::-1], None)),
        (*first[:4], TrainingImages(items[:2], items[2:])),
    ]
    identities = [identity_of(*arguments) for arguments in (first, *changes)]
    assert len(set(identities)) == 1 + len(changes)
    # Where the files lie is no part of it.
    moved = (*first[:3], {"x/a.tsv": "1", "x/b.tsv": "2"}, first[4])
    assert identity_of(*moved) == identities[0]


def test_initial_weights_of_another_shape_are_named_as_a_configuration_writes_it(training_settings, tmp_path):
    other = replace(training_settings.network, aspp_dilations=(1, 3), dropout=0.5)
    save_weights(tmp_path / "w.safetensors", build_network(other, 11, 1, pretrained=False), other, SPACE)
    message = (
        r"w\.safetensors: weights for camvid11, aspp_dilations \[1, 3\], "
        r"expected those for camvid11, aspp_dilations \[1, 2\]$"
    )
    with pytest.raises(InputError, match=message):
        check_initial_weights(tmp_path / "w.safetensors", training_settings, SPACE)
    check_initial_weights(tmp_path / "w.safetensors", replace(training_settings, network=other), SPACE)


def test_initial_weights_are_those_of_the_same_classes(training_settings, tmp_path):
    network = build_network(training_settings.network, 11, 1, pretrained=False)
    entries = SPACE.definition()["classes"]
    for name, classes in ((SPACE.name, entries[::-1]), ("mine", entries)):
        space = make_label_space(name, classes)
        save_weights(tmp_path / f"{name}.safetensors", network, training_settings.network, space)
    with pytest.raises(InputError, match=r"camvid11\.safetensors: weights for camvid11, expected those for"):
        check_initial_weights(tmp_path / "camvid11.safetensors", training_settings, SPACE)
    check_initial_weights(tmp_path / "mine.safetensors", training_settings, SPACE)


def test_averaged_weights_lie_beside_the_last_ones(train_here, training_settings):
    folder = train_here("model", replace(training_settings, average_decay=0.5))
    averaged, last = (load_file(folder / f"{name}.safetensors") for name in ("averaged", "weights"))
    assert averaged.keys() == last.keys()
    assert not torch.equal(averaged["box.classifier.weight"], last["box.classifier.weight"])
    assert read_header(folder / "averaged.safetensors") == read_header(folder / "weights.safetensors")
    plain = train_here("plain", training_settings)
    assert not (plain / "averaged.safetensors").exists()


def test_a_deterministic_training_learns_the_same_on_a_cpu(
    train_here, training_settings, tmp_path, monkeypatch
):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    files = []
    for deterministic in (False, True, True):
        folder = train_here("model", replace(training_settings, deterministic=deterministic))
        files.append((folder / "weights.safetensors").read_bytes())
        # Not only read from its state, which would be that of another training only the first time.
        shutil.rmtree(tmp_path / "state")
    assert files[0] == files[1] == files[2]


def test_the_backbones_file_is_a_parent(train_here, training_settings, tmp_path):
    path = tmp_path / "backbone.safetensors"
    save_file(create_model("test_efficientnet").state_dict(), path)
    network = replace(training_settings.network, backbone_weights=str(path))
    folder = train_here("model", replace(training_settings, network=network))
    parents = {str(file): sha256_of(file) for file in (tmp_path / "source.tsv", path)}
    assert record(folder)["parents"] == parents


def test_a_finished_training_that_is_read_again_was_not_resumed(train_here, training_settings):
    before = record(train_here("model", training_settings))
    again = record(train_here("model", training_settings))
    assert (before["resumes"], again["resumes"]) == (0, 0)
    assert again["code"] == before["code"]
    # Settings in the record are JSON, so those of a file equal them.
    assert again["settings"]["crop"] == [32, 32]


def test_no_iterations_take_the_model_as_it_is(train_here, training_settings, caplog):
    """Its tensors are those given, and what is known of it is what was known before."""
    first = train_here("first", training_settings)
    content = record(first) | {"vanished_classes": ["car", "sky"]}
    (first / "training.json").write_text(json.dumps(content))
    settings = replace(training_settings, iterations=0, average_decay=0.5, head_learning_rate_factor=3.0)
    for _ in range(2):
        # Again, as where a run goes on: there is no state to read.
        folder = train_here("taken", settings, first / "weights.safetensors")
        given = load_file(first / "weights.safetensors")
        for name in ("weights", "averaged"):
            taken = load_file(folder / f"{name}.safetensors")
            assert taken.keys() == given.keys()
            for tensor in given:
                assert taken[tensor].numpy().tobytes() == given[tensor].numpy().tobytes(), tensor
        assert (folder / "history.jsonl").read_text() == ""
        taken_record = read_training_record(folder / "training.json")
        assert (taken_record.settings.iterations, taken_record.images.source) == (0, 0)
        assert (taken_record.last_loss, taken_record.vanished_classes) == (None, ["car", "sky"])
    assert "taken: still not predicted near the end" in caplog.text
    # A training from this model has the same first weights as one from the model that was given.
    went_on = [
        load_file(train_here("on", training_settings, path / "weights.safetensors") / "weights.safetensors")
        for path in (first, folder)
    ]
    assert all(torch.equal(went_on[0][name], went_on[1][name]) for name in went_on[0])


def test_no_iterations_need_a_model(train_here, training_settings, tmp_path):
    with pytest.raises(InputError, match=r"model: iterations is 0, and there are no --initial-weights"):
        train_here("model", replace(training_settings, iterations=0))
    assert not (tmp_path / "model").exists()
