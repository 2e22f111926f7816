import json

import numpy as np
import pytest

from cotrain.configuration.run_plan import Storage
from cotrain.configuration.sections import Augmentation, Crops
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from workflow_scripts import collect_checks

STORAGE = Storage(
    translations=1,
    format="png",
    decoded_cache=False,
    pseudo_labelled=(2,),
    sample_images=2,
    models={"baseline": "network"},
    averages=True,
    optimiser_values=1,
)


@pytest.fixture
def arguments(tmp_path, settings_file):
    """Return the arguments of a run whose target has two images of 64×32 pixels."""
    write_manifest(tmp_path / "a.tsv", [Item(name, tmp_path / f"{name}.png", 64, 32) for name in "pq"])
    write_manifest(tmp_path / "s.tsv", [Item("s", tmp_path / "s.png", 64, 64)])
    (tmp_path / "x.json").write_text('{"device": "cpu"}')
    size = {"parameters": 1000, "tensors": 5, "bytes": 4000}
    size |= {"operations_a_pixel": 0, "saved_bytes_a_pixel": 0}
    (tmp_path / "networks.json").write_text(json.dumps({"networks": {"network": size}}))
    return [
        *("--source", str(tmp_path / "s.tsv"), "--settings", settings_file(Crops(crop=(32, 64)), "crops")),
        *("--reports", str(tmp_path / "x.json"), "--target", str(tmp_path / "a.tsv")),
        *("--storage", settings_file(STORAGE, "storage"), "--networks", str(tmp_path / "networks.json")),
        *("--results", str(tmp_path / "results"), "--states", str(tmp_path / "state")),
        *("--output", str(tmp_path / "checked.json")),
    ]


def test_reports_are_listed(arguments, tmp_path):
    collect_checks.main(arguments)
    expected = {"reports": [str(tmp_path / "x.json")], "notes": []}
    assert json.loads((tmp_path / "checked.json").read_text()) == expected


def test_reports_are_opened(arguments, tmp_path):
    (tmp_path / "x.json").write_text("[1]")
    with pytest.raises(
        InputError,
        match=r"x\.json: cannot be read as the report of a check \(.*\), expected what check_data or check_",
    ):
        collect_checks.main(arguments)
    (tmp_path / "x.json").unlink()
    with pytest.raises(InputError, match=r"x\.json: cannot be read as the report of a check \(No such file"):
        collect_checks.main(arguments)


def write_checked(folder, items, warnings=(), **pixels):
    """Write the manifest and the report of a dataset and return both paths."""
    manifest = folder / "labelled.tsv"
    write_manifest(manifest, items)
    report = {"images": len(items), "sizes": {}, "turned": [], "converted": {}, "warnings": list(warnings)}
    content = {"share": 0.5, "images": len(items)}
    report["classes"] = {name: {"pixels": number, **content} for name, number in pixels.items()}
    manifest.with_suffix(".check.json").write_text(json.dumps(report))
    return manifest, manifest.with_suffix(".check.json")


def test_notes_of_all_datasets_are_shown_and_kept(arguments, tmp_path, capfd):
    (tmp_path / "p.png").write_text("p")
    (tmp_path / "q.png").write_text("q!")
    (tmp_path / "copy.png").write_text("q!")
    (tmp_path / "s.png").write_text("ss")
    game, of_game = write_checked(tmp_path / "game", [Item("s", tmp_path / "s.png", 64, 64)], road=9, sky=0)
    exam, of_exam = write_checked(
        tmp_path / "exam", [Item("c", tmp_path / "copy.png", 64, 32)], ["looks wrong"], road=9, sky=2
    )
    arguments += ["--source", str(game), "--test", str(exam), "--reports", str(of_game), str(of_exam)]
    collect_checks.main(arguments)
    notes = json.loads((tmp_path / "checked.json").read_text())["notes"]
    assert notes[0] == "exam: looks wrong"
    assert notes[1].startswith("game: no pixel of sky, unlike exam. Without a source that shows a class")
    assert notes[2].startswith(
        f"1 of the 1 test images of exam is also in {tmp_path.name}; the first is {tmp_path}/copy.png, "
        f"there {tmp_path}/q.png. Models adapt"
    )
    assert len(notes) == 3
    shown = capfd.readouterr().err
    assert all(f"warning: {note}" in shown for note in notes)
    assert "no error was found, but read the warnings" in shown


def test_upper_bound_learns_shared_images(arguments, tmp_path):
    for name in "pq":
        (tmp_path / f"{name}.png").write_text(name)
    items = [Item(name, tmp_path / f"{name}.png", 64, 32) for name in "pq"]
    _, labelled = write_checked(tmp_path, items, ["target looks wrong"], road=1)
    exam, of_exam = write_checked(tmp_path / "exam", [Item("p", tmp_path / "p.png", 64, 32)], road=1)
    (tmp_path / "s.png").write_text("sss")
    arguments += ["--test", str(exam), "--reports", str(of_exam), str(labelled)]
    collect_checks.main(arguments)
    first, second = json.loads((tmp_path / "checked.json").read_text())["notes"]
    assert first == f"{tmp_path.name}: target looks wrong"
    assert second.endswith("The upper bound even learns their labels.")


@pytest.mark.parametrize(
    ("crop", "changes", "message"),
    [
        (
            (72, 64),
            {},
            r"training\.crop: 64×72 pixels are more than any image of .*s\.tsv has: at most 64×64",
        ),
        (
            (64, 64),
            {},
            r"more than any image of .*a\.tsv has: at most 64×32 .* training\.target_augmentation",
        ),
        ((64, 64), {"short_sides": (32, 48)}, r"at most 96×48"),
        ((64, 64), {"short_sides": (64,)}, None),
        ((64, 64), {"short_sides": (64,), "max_long_side": 96}, r"at most 96×48"),
    ],
)
def test_crop_larger_than_any_image(arguments, settings_file, crop, changes, message):
    crops = Crops(crop=crop, target_augmentation=Augmentation(**changes))
    arguments += ["--settings", settings_file(crops, "other crops")]
    if message is None:
        collect_checks.main(arguments)
        return
    with pytest.raises(InputError, match=message):
        collect_checks.main(arguments)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([(64, 32)], r"b\.tsv lists 1 image, .*a\.tsv 2; expected equally many"),
        ([(64, 32), (32, 64)], r"1\.png is 32×64, its pair .*q\.png 64×32"),
    ],
)
def test_views_that_do_not_pair_up(arguments, tmp_path, sizes, message):
    items = [Item(str(index), tmp_path / f"{index}.png", *size) for index, size in enumerate(sizes)]
    write_manifest(tmp_path / "b.tsv", items)
    with pytest.raises(InputError, match=message):
        collect_checks.main([*arguments, "--target-b", str(tmp_path / "b.tsv")])
    assert not (tmp_path / "checked.json").exists()


def test_priors_of_another_size(arguments, tmp_path):
    np.save(tmp_path / "fit.npy", np.zeros((19, 32, 64), np.float32))
    collect_checks.main([*arguments, "--class-priors", str(tmp_path / "fit.npy")])
    np.save(tmp_path / "turned.npy", np.zeros((19, 64, 32), np.float32))
    with pytest.raises(InputError, match=r"turned\.npy: the class priors are 32×64, .*p\.png is 64×32"):
        collect_checks.main([*arguments, "--class-priors", str(tmp_path / "turned.npy")])


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(small_disk, arguments, tmp_path):
    """A source image of 64×64 pixels as PNG takes 6 KiB; the two target images predicted twice, 18 KiB.

    Weights and their average take 2 × (4000 + 5 × 120) bytes, their records 10 000; a save takes
    2 × (4000 + 5 × 400), with the optimiser 6000 more.
    """
    arguments[-1] = str(small_disk / "data" / "checked.json")
    arguments += ["--results", str(small_disk), "--states", str(small_disk / "state")]
    message = (
        r"disk: its disk has \d+\.\d KiB free, but the run needs about 87\.5 KiB \(6\.0 KiB translated "
        r"images, 1\.2 KiB labels, 26\.4 KiB predictions, 18\.8 KiB models, 35\.2 KiB states of trainings\); "
        r"free some space"
    )
    with pytest.raises(InputError, match=message):
        collect_checks.main(arguments)
    assert not (small_disk / "data" / "checked.json").exists()


def test_reports_of_other_numbers_or_classes_are_refused(arguments, tmp_path):
    items = [Item("s", tmp_path / "p.png", 64, 64)]
    (tmp_path / "p.png").write_text("p")
    game, of_game = write_checked(tmp_path / "game", items, road=9, sky=0)
    exam, of_exam = write_checked(tmp_path / "exam", items, road=9)
    arguments += ["--source", str(game), "--test", str(exam), "--reports", str(of_game), str(of_exam)]
    with pytest.raises(InputError, match=r"exam.*counts other classes than .*game"):
        collect_checks.main(arguments)
    of_exam.write_text(of_exam.read_text().replace('"pixels": 9', '"pixels": -9'))
    with pytest.raises(InputError, match=r"classes\.road\.pixels: expected an integer >= 0"):
        collect_checks.main(arguments)
