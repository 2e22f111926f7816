import numpy as np
import pytest

from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.adaptation.thresholds import LEVELS
from cotrain.data.files import sha256_of, write_json
from cotrain.data.images import write_image, write_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from workflow_scripts.verify import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A small run: a list of two labelled images, and a table."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "own"
    items = []
    for name in "ab":
        image, label = folder / "images" / f"{name}.png", folder / "labels" / f"{name}.png"
        write_image(image, np.full((4, 6, 3), 9, np.uint8))
        write_label(label, np.zeros((4, 6), np.uint8), [(1, 2, 3)])
        items.append(
            Item(name, image, 6, 4, label, label_sha256=sha256_of(label), bytes=image.stat().st_size)
        )
    write_manifest(folder / "manifest.tsv", items, tmp_path)
    (folder / "models.tsv").write_text("model\tmIoU\nbaseline\t50.1\n")
    (folder / "logs").mkdir()
    (folder / "logs" / "x.json").write_text("no JSON, but a log")
    return folder


def problems(capfd):
    with pytest.raises(InputError) as caught:
        main(["results/own"])
    assert "results/own: " in str(caught.value)
    return capfd.readouterr().err


def test_a_whole_run(run, capfd):
    main(["results/own"])
    assert "results/own: 7 files are whole and fit together" in capfd.readouterr().err


def test_a_label_that_was_changed_by_hand(run, capfd):
    write_label(run / "labels" / "b.png", np.ones((4, 6), np.uint8), [(1, 2, 3)])
    said = problems(capfd)
    assert "labels/b.png has changed since the manifest was written (its SHA-256 differs)" in said
    assert "to have it made again: rm results/own/manifest.tsv" in said


def test_damaged_files_and_what_to_remove(run, capfd):
    content = (run / "labels" / "a.png").read_bytes()
    (run / "labels" / "a.png").write_bytes(content[:40])
    (run / "images" / "b.png").unlink()
    (run / "models.tsv").write_text("model\tmIoU\nbaseline\n")
    (run / ".0.123.partial.h5").write_text("")
    said = problems(capfd)
    assert "labels/a.png: is no image that can be decoded (40 bytes)" in said
    assert "rm results/own/labels/a.png results/own/manifest.tsv" in said
    assert "models.tsv: its rows have different numbers of columns" in said
    assert "images/b.png is missing" in said
    assert (
        "results/own/.0.123.partial.h5: a killed job left it behind; nothing reads it\n"
        "    rm results/own/.0.123.partial.h5\n"
    ) in said
    # What is in no list is removed alone.
    assert "    to have it made again: rm results/own/models.tsv\n" in said


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scores.json", '{"mean": NaN}', "is not valid (found NaN"),
        ("history.jsonl", '{"loss": 1}\n{"lo', "history.jsonl:2: is not valid JSON"),
        ("class_priors.npy", "no array", "is not a readable .npy file"),
        ("weights.safetensors", "<html>", "weights.safetensors"),
        # A table, but of something else.
        ("index.tsv", "id\tscore\na\t1\n", "index.tsv"),
    ],
)
def test_forms_of_other_files(run, capfd, name, content, message):
    (run / name).write_text(content)
    assert message in problems(capfd)


def test_thresholds_are_those_of_the_classes_of_the_run(run, capfd):
    write_json(run / "settings" / "configuration.json", {"label_space": "cityscapes7"})
    table = ThresholdTable.from_histogram(
        np.ones((7, LEVELS), np.int64), 0.5, 0.5, 0.9, label_space("cityscapes7").classes, "a model"
    )
    table.write(run / "pseudo_labels" / "thresholds.json")
    main(["results/own"])
    assert "results/own: 9 files are whole and fit together" in capfd.readouterr().err
    write_json(run / "settings" / "configuration.json", {"label_space": "cityscapes19"})
    said = problems(capfd)
    assert "thresholds.json: holds the classes flat, construction, " in said
    assert "rm results/own/pseudo_labels/thresholds.json" in said
    assert said.count("    to have it made again") == 1


@pytest.mark.parametrize(
    "content", [b"", bytes(90), b"id\timage\twidth\n", b"id\timage\twidth\theight\na\tb\xff"]
)
def test_a_manifest_that_is_none_is_damaged(run, capfd, content):
    (run / "manifest.tsv").write_bytes(content)
    assert "results/own/manifest.tsv" in problems(capfd)


def test_a_link_to_nowhere(run, capfd):
    (run / "labels" / "c.png").symlink_to("gone.png")
    assert "labels/c.png: is a link to gone.png, which is missing" in problems(capfd)


def test_a_save_of_a_training(run, tmp_path, capfd):
    (tmp_path / "state" / "own" / "baseline").mkdir(parents=True)
    (tmp_path / "state" / "own" / "baseline" / "last.pt").write_bytes(bytes(100))
    assert "last.pt: is damaged, or of an earlier version of cotrain" in problems(capfd)


def test_no_run(tmp_path):
    with pytest.raises(InputError, match=r"there is no such folder, expected that of a run, results/RUN"):
        main([str(tmp_path / "nothing")])


def test_predictions_are_read(run, predicted_set, capfd):
    predicted_set("final", {"p": [(0, 0.5)], "q": [(1, 0.5), (3, 0.9)]})
    file = run.parents[1] / "final.h5"
    (run / "sample").mkdir()
    file.rename(run / "sample" / "final.h5")
    main(["results/own"])
    assert "results/own: 8 files are whole" in capfd.readouterr().err
    path = run / "sample" / "final.h5"
    content = bytearray(path.read_bytes())
    place = content.index(np.full(10, 32768, np.uint16).tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert "sample/final.h5: the prediction of image 'p' is damaged" in problems(capfd)
