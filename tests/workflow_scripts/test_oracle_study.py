import csv
import json

import numpy as np
import pytest

from cotrain.data.images import write_label
from cotrain.data.label_sets import write_pseudo_labels
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from workflow_scripts.oracle_study import main

SPACE = label_space("camvid11")


@pytest.fixture
def study(tmp_path):
    """Write true labels of three images and pseudo-labels of two; return the arguments but for the last."""
    truth = {"a": [0, 0, 1, 255], "b": [3, 3, 3, 3], "c": [8, 8, 8, 8]}
    guesses = {"c": [8, 255, 8, 255], "a": [0, 1, 1, 0]}
    items = {name: Item(name, tmp_path / f"{name}.jpg", 4, 1) for name in truth}
    labelled = []
    for name, ids in truth.items():
        path = tmp_path / "truth" / f"{name}.png"
        write_label(path, np.array([ids], np.uint8), SPACE.palette)
        labelled.append(Item(name, tmp_path / f"{name}.jpg", 4, 1, path))
    write_manifest(tmp_path / "labelled.tsv", labelled)
    made = write_pseudo_labels(
        [items[name] for name in guesses],
        lambda item: (np.array([guesses[item.id]], np.uint8), 0.9),
        tmp_path / "labels",
        SPACE,
        workers=1,
    )
    write_manifest(tmp_path / "selected.tsv", made)
    write_manifest(tmp_path / "first.tsv", made[:1])
    return [
        *("--labelled", str(tmp_path / "labelled.tsv"), "--label-space", "camvid11"),
        *("--output", str(tmp_path / "oracle"), "--pseudo-labels"),
    ]


def test_by_hand(study, tmp_path, capsys):
    both = [f"self_training/00={tmp_path / 'first.tsv'}", f"ensemble={tmp_path / 'selected.tsv'}"]
    main([*study, *both])
    content = json.loads((tmp_path / "oracle" / "oracle.json").read_text())
    assert content["note"].startswith("Oracle study: it reads labels of the target")
    first, last = content["steps"]["self_training/00"], content["steps"]["ensemble"]
    assert (first["images"], last["images"]) == (1, 2)
    # Images that have no pseudo-label (b) count nowhere.
    assert first["classes"]["car"] == {
        **{"agreeing": 2, "kept": 2, "labelled": 4},
        **{"precision": 1.0, "coverage": 0.5, "recall": 0.5},
    }
    assert first["classes"]["sky"]["labelled"] == 0
    assert last["classes"]["sky"]["precision"] == 1.0
    assert last["classes"]["building"]["precision"] == 0.5
    assert last["classes"]["building"]["coverage"] == 2.0
    assert last["precision"] == pytest.approx(4 / 5)
    shown = capsys.readouterr().out
    assert (tmp_path / "oracle" / "oracle.txt").read_text() in shown
    with open(tmp_path / "oracle" / "steps.tsv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["step"], row["images"]) for row in rows] == [("self_training/00", "1"), ("ensemble", "2")]
    with open(tmp_path / "oracle" / "classes.tsv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file, delimiter="\t"))) == 2 * 11


def test_an_empty_set_of_pseudo_labels_has_no_scores(study, tmp_path):
    write_manifest(tmp_path / "empty.tsv", [])
    main([*study, f"a={tmp_path / 'empty.tsv'}"])
    found = json.loads((tmp_path / "oracle" / "oracle.json").read_text())["steps"]["a"]
    assert found["images"] == 0
    assert found["mean_precision"] is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("selected.tsv", "--pseudo-labels: found `selected.tsv`, expected STEP=MANIFEST"),
        ("a=nowhere.tsv", r"nowhere\.tsv: manifest cannot be read"),
    ],
)
def test_wrong_arguments_are_named(study, given, message):
    with pytest.raises(InputError, match=message):
        main([*study, given])


def test_an_image_without_a_true_label_is_named(study, tmp_path):
    text = (tmp_path / "labelled.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "labelled.tsv").write_text("".join(line for line in text if not line.startswith("c")))
    with pytest.raises(InputError, match=r"selected\.tsv: 1 file has no partner in .*labelled\.tsv, .*'c'"):
        main([*study, f"a={tmp_path / 'selected.tsv'}"])


def test_a_pseudo_label_that_was_changed_is_named(study, tmp_path):
    write_label(tmp_path / "labels" / "a.png", np.zeros((1, 4), np.uint8), SPACE.palette)
    with pytest.raises(InputError, match=r"a\.png has changed since the manifest was written"):
        main([*study, f"a={tmp_path / 'selected.tsv'}"])
