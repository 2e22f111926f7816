from pathlib import Path

import pytest

from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.errors import InputError
from workflow_scripts import accumulate


@pytest.fixture
def run(tmp_path):
    def item(name, step, score, kept):
        return Item(
            name, tmp_path / f"{name}.png", 4, 3, tmp_path / step / f"{name}.png", None, score, kept, 1
        )

    write_manifest(tmp_path / "previous.tsv", [item("x", "00", 0.9, 3), item("y", "00", 9.5e-05, 5)])
    write_manifest(
        tmp_path / "selected.tsv", [item("y", "01", 0.8, 4), item("x", "01", 0.7, 9), item("z", "01", 0.1, 1)]
    )

    def go(*more, previous=True):
        arguments = ["--selected", str(tmp_path / "selected.tsv"), "--step", "01"]
        arguments += ["--accumulation", "best_score", "--ranking", "confidence"]
        arguments += ["--output", str(tmp_path / "out" / "accumulated.tsv"), *more]
        if previous:
            arguments += ["--previous", str(tmp_path / "previous.tsv")]
        accumulate.main(arguments)
        items = read_manifest(tmp_path / "out" / "accumulated.tsv")
        return [(item.id, Path(item.label).parent.name) for item in items]

    return go


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], [("x", "00"), ("y", "01"), ("z", "01")]),
        (["--ranking", "void_pixels"], [("x", "01"), ("y", "00"), ("z", "01")]),
        (["--accumulation", "all"], [("x", "00"), ("y", "00"), ("y@01", "01"), ("x@01", "01"), ("z", "01")]),
        (["--accumulation", "none"], [("y", "01"), ("x", "01"), ("z", "01")]),
    ],
)
def test_modes(run, flags, expected):
    assert run(*flags) == expected


def test_nothing_to_train_on_ends_here(run, tmp_path):
    write_manifest(tmp_path / "selected.tsv", [])
    assert run() == [("x", "00"), ("y", "00")]
    for flags, previous in (([], False), (["--accumulation", "none"], True)):
        with pytest.raises(
            InputError, match=r"selected\.tsv: lists no image, so there is nothing to train on"
        ):
            run(*flags, previous=previous)


def test_first_step(run):
    assert run(previous=False) == [("y", "01"), ("x", "01"), ("z", "01")]
