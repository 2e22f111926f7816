import io
import shutil
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from PIL import Image

from cotrain.data.files import link_or_copy
from cotrain.data.images import read_label
from cotrain.data.manifests import read_manifest, verify_labels, write_manifest
from cotrain.data.predictions import PredictionReader, PredictionWriter
from cotrain.errors import InputError
from workflow_scripts import ensemble_labels, join_ensemble


def run(tmp_path, thresholds_a, thresholds_b, *more):
    of_both = [
        *("--images", str(tmp_path / "a.tsv"), "--images-b", str(tmp_path / "b.tsv")),
        *("--predictions-a", str(tmp_path / "a.h5"), "--predictions-b", str(tmp_path / "b.h5")),
    ]
    shared = ["--thresholds-a", str(thresholds_a), "--thresholds-b", str(thresholds_b)]
    shared += ["--label-space", "camvid11"]
    ensemble_labels.main([*of_both, *shared, "--output", str(tmp_path / "shard"), *more])
    return join(tmp_path, [tmp_path / "shard"], shared)


def join(tmp_path, shards, shared, *more):
    manifests = [str(shard / "manifest.tsv") for shard in shards]
    of_all = ["--images", str(tmp_path / "a.tsv"), "--shards", *manifests, *more]
    thresholds = ["--thresholds", shared[1], shared[3], *shared[4:]]
    join_ensemble.main([*of_all, *thresholds, "--output", str(tmp_path / "ensemble")])
    return read_manifest(tmp_path / "ensemble" / "manifest.tsv")


def test_the_surer_model_wins_under_the_lower_threshold(tmp_path, predicted_set, write_thresholds):
    predicted_set("a", {"x": [(0, 0.9), (1, 0.6), (2, 0.55), (4, 0.7)], "void": [(0, 0.1)]})
    predicted_set("b", {"x": [(1, 0.8), (2, 0.7), (3, 0.52), (3, 0.7)], "void": [(0, 0.3)]})
    a = write_thresholds("ta", {0: 0.95, 2: 0.65})
    b = write_thresholds("tb", {0: 0.85, 2: 0.6})
    items = run(tmp_path, a, b)
    # An image without any label left is not trained on.
    assert [item.id for item in items] == ["x"]
    # a with 0.9 over 0.85; b with 0.7 over 0.6; a with 0.55 below 0.6; equally sure: the lower id.
    assert [set(row.tolist()) for row in read_label(items[0].label)] == [{0}, {2}, {255}, {3}]
    assert items[0].score == pytest.approx((0.9 + 0.7 + 0.7) / 3, abs=1e-4)


def test_the_images_of_b_have_names_of_their_own(tmp_path, predicted_set, write_thresholds):
    # Two views of the same places, by position. An image of b with a name of a shows another place.
    predicted_set("a", {"x": [(0, 0.6)], "y": [(1, 0.6)]})
    predicted_set("b", {"night x": [(2, 0.9)], "x": [(3, 0.8)]})
    thresholds = write_thresholds("t")
    items = run(tmp_path, thresholds, thresholds)
    assert [item.id for item in items] == ["x", "y"]
    assert [set(read_label(item.label).ravel().tolist()) for item in items] == [{2}, {3}]
    assert [item.image.name for item in items] == ["x.png", "y.png"]


def test_ego_vehicle_takes_no_part(tmp_path, predicted_set, write_thresholds):
    for name in "ab":
        predicted_set(name, {"x": [(0, 0.9), (1, 0.7)]})
    mask = np.zeros((2, 10), np.uint8)
    mask[0] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    thresholds = write_thresholds("t")
    [item] = run(tmp_path, thresholds, thresholds, "--ego-vehicle-mask", str(tmp_path / "mask.png"))
    assert [set(row.tolist()) for row in read_label(item.label)] == [{255}, {1}]
    assert item.score == pytest.approx(0.7, abs=1e-4)


@pytest.mark.parametrize(
    ("of_b", "message"),
    [
        ({"x": [(0, 0.9)]}, r"a\.tsv lists 2 images, .*b\.tsv 1; expected equally many"),
        (
            {"x": [(0, 0.9)], "y": [(0, 0.9)] * 2},
            r"y\.png is 10×1, its pair .*y\.png 10×2; expected one size",
        ),
    ],
)
def test_sets_that_are_no_pairs_are_refused(tmp_path, predicted_set, write_thresholds, of_b, message):
    predicted_set("a", {"x": [(0, 0.9)], "y": [(0, 0.9)]})
    predicted_set("b", of_b)
    thresholds = write_thresholds("t")
    with pytest.raises(InputError, match=message):
        run(tmp_path, thresholds, thresholds)


def test_thresholds_of_another_model_are_refused(tmp_path, predicted_set, write_thresholds):
    for name in "ab":
        predicted_set(name, {"x": [(0, 0.9)]})
    right, wrong = write_thresholds("right"), write_thresholds("wrong", model="another model")
    for name, thresholds in (("a", (wrong, right)), ("b", (right, wrong))):
        message = rf"wrong\.json: holds the thresholds of another model, .*{name}\.h5"
        with pytest.raises(InputError, match=message):
            run(tmp_path, *thresholds)


def test_predictions_of_another_image_set_are_refused(tmp_path, predicted_set, write_thresholds):
    thresholds = write_thresholds("t")
    for name in "ab":
        predicted_set(name, {"x": [(0, 0.9)]})
    predicted_set("c", {"y": [(0, 0.9)]})
    (tmp_path / "c.h5").replace(tmp_path / "b.h5")
    with pytest.raises(
        InputError, match=r"b\.tsv: is not the image set of .*b\.h5: image 'x' was not predicted"
    ):
        run(tmp_path, thresholds, thresholds)


def test_what_branches_have_accumulated_is_joined(tmp_path, predicted_set, write_thresholds):
    # The score is the mean confidence of the kept pixels.
    of_branch = {
        "a": {"x": [(0, 0.9)], "y": [(1, 0.7), (1, 0.1)], "w": [(0, 0.1)]},
        "b": {"y": [(2, 0.8), (2, 0.1)], "x": [(3, 0.6), (3, 0.6)], "z": [(0, 0.7)]},
    }
    thresholds = write_thresholds("t")
    manifests = []
    for branch, images in of_branch.items():
        for name in "ab":
            predicted_set(name, images)
        [folder], _ = label_shards(tmp_path, thresholds, 1, whole=True)
        manifests.append(folder.rename(tmp_path / f"of_{branch}") / "manifest.tsv")
        items = read_manifest(manifests[-1])
        moved = [replace(item, label=manifests[-1].parent / "labels" / item.label.name) for item in items]
        write_manifest(manifests[-1], moved)
    found = {}
    for ranking in ("confidence", "void_pixels"):
        output = tmp_path / f"by_{ranking}"
        join_ensemble.main(
            [
                *("--images", str(tmp_path / "a.tsv"), "--accumulated", *map(str, manifests)),
                *("--thresholds", str(thresholds), str(thresholds), "--ranking", ranking),
                *("--label-space", "camvid11", "--output", str(output)),
            ]
        )
        items = read_manifest(output / "manifest.tsv")
        assert all(item.label.parent == output / "labels" for item in items)
        found[ranking] = {item.id: int(read_label(item.label)[0, 0]) for item in items}
    # Of "x", the label of a is surer, that of b keeps more pixels. Nothing of "w" has a label.
    assert found == {"confidence": {"x": 0, "y": 2, "z": 0}, "void_pixels": {"x": 3, "y": 1, "z": 0}}


def test_when_nothing_is_left_the_run_stops(tmp_path, predicted_set, write_thresholds):
    for name in "ab":
        predicted_set(name, {"x": [(0, 0.1)]})
    thresholds = write_thresholds("t")
    message = "no image has a label left by the thresholds of(.|\\n)*raise co_training.iterations"
    with pytest.raises(InputError, match=message):
        run(tmp_path, thresholds, thresholds)
    assert not (tmp_path / "ensemble" / "manifest.tsv").exists()


IMAGES = {name: [(index, 0.9), (1, 0.4 + 0.02 * index)] for index, name in enumerate("eadcbfg")}


def write_shards(folder, name, predictions, shards, batch_size=2):
    """Write NAME.0.h5 and so on: whole batches in turn, as the step predict takes them."""
    with PredictionReader([folder / f"{name}.h5"]) as whole:
        ids = list(predictions)
        batches = [ids[start : start + batch_size] for start in range(0, len(ids), batch_size)]
        for shard in range(shards):
            origin = replace(whole.origin, shard=shard, shards=shards)
            with PredictionWriter(folder / f"{name}.{shard}.h5", origin) as writer:
                for image_id in chain.from_iterable(batches[shard::shards]):
                    writer.write(image_id, *whole.read(image_id))


def label_shards(tmp_path, thresholds, shards, whole=False):
    """Label all shards; with `whole`, the only shard is the whole prediction."""
    shared = ["--thresholds-a", str(thresholds), "--thresholds-b", str(thresholds)]
    shared += ["--label-space", "camvid11"]
    folders = [tmp_path / "shards" / str(shard) for shard in range(shards)]
    for shard, folder in enumerate(folders):
        of_both = [f"--images={tmp_path / 'a.tsv'}", f"--images-b={tmp_path / 'b.tsv'}"]
        suffix = ".h5" if whole else f".{shard}.h5"
        of_both += [f"--predictions-{name}={tmp_path / f'{name}{suffix}'}" for name in "ab"]
        ensemble_labels.main([*of_both, *shared, "--output", str(folder)])
    return folders, shared


def test_any_number_of_shards_gives_the_same_bytes(tmp_path, predicted_set, write_thresholds):
    predicted_set("a", IMAGES)
    predicted_set("b", {f"night {name}": rows for name, rows in IMAGES.items()})
    thresholds = write_thresholds("t")
    contents = []
    # Four batches of seven images: of five shards, one has none.
    for shards in (1, 2, 3, 5):
        for name, images in (("a", IMAGES), ("b", [f"night {name}" for name in IMAGES])):
            write_shards(tmp_path, name, images, shards)
        folders, shared = label_shards(tmp_path, thresholds, shards)
        items = join(tmp_path, folders, shared)
        verify_labels(items, "manifest.tsv")
        # In the order of the target, not in that of the shards.
        assert [item.id for item in items] == list("eadcbfg")
        ensemble = tmp_path / "ensemble"
        files = {file.relative_to(ensemble): file.read_bytes() for file in ensemble.rglob("*.*")}
        assert len(files) == 7 + 1
        contents.append(files)
        # They are the same files, so they cost no disk, and remain when those of the shards are removed.
        assert all(item.label.stat().st_nlink == 2 for item in items)
        shutil.rmtree(tmp_path / "shards")
        shutil.rmtree(ensemble)
    assert contents[0] == contents[1] == contents[2] == contents[3]
    # "f" is the sixth image: its second row has a confidence of 0.5, which is not above the threshold.
    label = read_png(contents[0], "f")
    assert [set(row.tolist()) for row in label] == [{5}, {255}]
    assert [set(row.tolist()) for row in read_png(contents[0], "g")] == [{6}, {1}]


def read_png(contents, name):
    [content] = [content for path, content in contents.items() if path.name == f"{name}.png"]
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def test_shards_that_do_not_belong_together_are_refused(tmp_path, predicted_set, write_thresholds):
    thresholds = write_thresholds("t")
    for name in "ab":
        predicted_set(name, IMAGES)
        write_shards(tmp_path, name, IMAGES, 2)
    folders, shared = label_shards(tmp_path, thresholds, 2)
    with pytest.raises(InputError, match=r"image 'd' is in none of .*0/manifest\.tsv, nor are 2 others"):
        join(tmp_path, folders[:1], shared)
    shutil.copytree(folders[0], tmp_path / "copy")
    with pytest.raises(InputError, match=r"copy/manifest\.tsv: labels image 'e', which .*0/manifest\.tsv"):
        join(tmp_path, [*folders, tmp_path / "copy"], shared)
    write_manifest(tmp_path / "a.tsv", read_manifest(tmp_path / "a.tsv")[:-1])
    with pytest.raises(InputError, match=r"labels image 'g', which .*a\.tsv does not list; label again"):
        join(tmp_path, folders, shared)
    (folders[1] / "labels" / "d.png").unlink()
    predicted_set("a", IMAGES)
    with pytest.raises(InputError, match=r"image 'd': found .*1/labels/d\.png, expected a label file"):
        join(tmp_path, folders, shared)


def test_shards_of_other_parts_of_the_set_are_refused(tmp_path, predicted_set, write_thresholds):
    thresholds = write_thresholds("t")
    for name in "ab":
        predicted_set(name, IMAGES)
    write_shards(tmp_path, "a", IMAGES, 2)
    write_shards(tmp_path, "b", IMAGES, 2, batch_size=3)
    with pytest.raises(InputError, match=r"b\.0\.h5: does not hold 'b', the pair of 'b' in .*batch_size"):
        label_shards(tmp_path, thresholds, 1)
    write_shards(tmp_path, "b", IMAGES, 3)
    with pytest.raises(InputError, match=r"b\.0\.h5: is shard 0 of 3, .*a\.0\.h5 shard 0 of 2"):
        label_shards(tmp_path, thresholds, 1)


def test_labels_are_copied_where_the_disk_has_no_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr("os.link", refuse)
    (tmp_path / "of shard.png").write_bytes(b"label")
    link_or_copy(tmp_path / "label.png", tmp_path / "of shard.png")
    assert (tmp_path / "label.png").read_bytes() == b"label"
    assert (tmp_path / "label.png").stat().st_nlink == 1
