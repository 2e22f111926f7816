from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cotrain.data.images import read_label
from cotrain.data.manifests import read_manifest, verify_labels, write_manifest
from cotrain.errors import InputError
from workflow_scripts import relabel


@pytest.fixture
def run(tmp_path, predicted_set, write_thresholds):
    """Return a function that labels images again whose old labels have these scores and kept pixels."""

    def go(predictions, old, *more):
        items = predicted_set("x", predictions)
        accumulated = [
            replace(item, label=tmp_path / "old" / f"{item.id}.png", score=score, kept_pixels=kept, classes=1)
            for item, (score, kept) in zip(items, old, strict=True)
        ]
        write_manifest(tmp_path / "accumulated.tsv", accumulated)
        relabel.main(
            [
                *("--accumulated", str(tmp_path / "accumulated.tsv")),
                *("--predictions", str(tmp_path / "x.h5"), "--thresholds", str(write_thresholds("t"))),
                *("--label-space", "camvid11", "--ranking", "confidence"),
                *("--output", str(tmp_path / "new"), *more),
            ]
        )
        return accumulated, read_manifest(tmp_path / "new" / "manifest.tsv")

    return go


def test_better_labels_replace_old_ones_and_the_others_are_removed(run, tmp_path):
    predictions = {"better": [(1, 0.9)], "worse": [(2, 0.7)], "void": [(3, 0.2)]}
    old, merged = run(predictions, [(0.8, 5), (0.8, 5), (0.6, 5)])
    assert merged[1:] == old[1:]
    assert merged[0].label == tmp_path / "new" / "labels" / "better.png"
    assert merged[0].score == pytest.approx(0.9, abs=1e-4)
    assert (read_label(merged[0].label) == 1).all()
    verify_labels(merged[:1], "manifest")
    assert [path.name for path in (tmp_path / "new" / "labels").iterdir()] == ["better.png"]


def test_thresholds_of_another_model_are_refused(run, write_thresholds):
    path = write_thresholds("other", model="another model")
    with pytest.raises(InputError, match=r"other\.json: holds the thresholds of another model, .*x\.h5"):
        run({"x": [(1, 0.9)]}, [(0.8, 5)], "--thresholds", str(path))


@pytest.mark.parametrize(
    ("ranking", "replaced"), [("confidence", ["sure"]), ("class_count", ["full"]), ("void_pixels", ["full"])]
)
def test_the_ranking_says_which_label_is_better(run, tmp_path, ranking, replaced):
    # "sure" is surer than before on fewer pixels, "full" keeps more pixels and is less sure.
    predictions = {"sure": [(1, 0.9), (1, 0.1)], "full": [(2, 0.6), (2, 0.6)]}
    run(predictions, [(0.8, 15), (0.8, 15)], "--ranking", ranking)
    assert [path.stem for path in (tmp_path / "new" / "labels").iterdir()] == replaced


def test_ego_vehicle_takes_no_part(run, tmp_path):
    mask = np.zeros((2, 10), np.uint8)
    mask[1] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    flags = ["--ego-vehicle-mask", str(tmp_path / "mask.png")]
    _, merged = run({"x": [(1, 0.7), (2, 0.9)]}, [(0.1, 1)], *flags)
    assert [set(row.tolist()) for row in read_label(merged[0].label)] == [{1}, {255}]
    assert merged[0].score == pytest.approx(0.7, abs=1e-4)
    assert (merged[0].kept_pixels, merged[0].classes) == (10, 1)
