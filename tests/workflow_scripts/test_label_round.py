import json

import numpy as np
import pytest
from PIL import Image

from cotrain.data.images import read_label
from cotrain.data.manifests import read_manifest
from cotrain.errors import InputError
from workflow_scripts import label_round


@pytest.fixture
def run(tmp_path, predicted_set, write_thresholds):
    predicted_set(
        "subset",
        {
            # Kept: one row of 0.9; two rows of 0.7; none (0.5 does not exceed 0.5); rows of 0.8, two classes.
            "sure": [(0, 0.9), (1, 0.3)],
            "full": [(0, 0.7), (0, 0.7)],
            "unsure": [(0, 0.5), (1, 0.1)],
            "varied": [(0, 0.8), (1, 0.8)],
        },
    )
    thresholds = write_thresholds("thresholds")

    def go(*more):
        arguments = ["--subset", str(tmp_path / "subset.tsv"), "--predictions", str(tmp_path / "subset.h5")]
        arguments += ["--thresholds", str(thresholds), "--label-space", "camvid11"]
        label_round.main([*arguments, "--output", str(tmp_path / "round"), *more])
        return read_manifest(tmp_path / "round" / "selected.tsv")

    return go


def table(tmp_path):
    lines = (tmp_path / "round" / "scores.tsv").read_text().splitlines()
    header = lines[0].split("\t")
    return [dict(zip(header, line.split("\t"), strict=True)) for line in lines[1:]]


@pytest.mark.parametrize(
    ("ranking", "expected"),
    [
        ("confidence", ["sure", "varied", "full"]),
        ("class_count", ["varied", "sure", "full"]),
        ("void_pixels", ["full", "varied", "sure"]),
    ],
)
def test_the_best_images_are_kept_in_order(run, ranking, expected):
    # The image without any label left is never kept, however many are asked for.
    assert [item.id for item in run("--keep", "9", "--ranking", ranking)] == expected
    assert [item.id for item in run("--keep", "2", "--ranking", ranking)] == expected[:2]


def test_labels_scores_and_reasons(run, tmp_path):
    items = run("--keep", "2")
    np.testing.assert_array_equal(read_label(items[0].label), [[0] * 10, [255] * 10])
    assert items[0].score == pytest.approx(0.9, abs=1e-5)
    assert (items[0].kept_pixels, items[1].kept_pixels, items[1].classes) == (10, 20, 2)
    rows = table(tmp_path)
    assert [row["id"] for row in rows] == ["sure", "full", "unsure", "varied"]
    assert [row["chosen"] for row in rows] == ["confidence rank 1", "", "", "confidence rank 2"]
    assert (rows[0]["kept_share"], rows[2]["kept_share"]) == ("0.500000", "0.000000")
    assert json.loads(rows[2]["score"]) == 0


def test_ego_vehicle_takes_no_part(run, tmp_path):
    mask = np.zeros((2, 10), np.uint8)
    mask[0] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    items = run("--keep", "9", "--ego-vehicle-mask", str(tmp_path / "mask.png"))
    assert [item.id for item in items] == ["varied", "full"]
    assert all((read_label(item.label)[0] == 255).all() for item in items)


def test_class_priors_weaken_what_is_rarely_there(run, tmp_path):
    # In round 0 priors below 0.1 count: class 0 is never in the upper row. From round 2 on nothing counts.
    priors = np.ones((11, 2, 10))
    priors[0, 0] = 0.0
    np.save(tmp_path / "priors.npy", priors)
    flags = ["--keep", "9", "--class-priors", str(tmp_path / "priors.npy"), "--step"]
    assert [item.id for item in run(*flags, "0")] == ["varied", "full"]
    assert [item.id for item in run(*flags, "2")] == ["sure", "varied", "full"]


def test_bad_priors_are_refused(run, tmp_path):
    np.save(tmp_path / "priors.npy", np.ones((11, 5, 10)))
    with pytest.raises(InputError, match=r"class_priors: the maps are \(5, 10\)"):
        run("--keep", "1", "--class-priors", str(tmp_path / "priors.npy"))
    with pytest.raises(InputError, match=r"class_priors: .*gone\.npy"):
        run("--keep", "1", "--class-priors", str(tmp_path / "gone.npy"))


def test_thresholds_of_another_label_space_are_refused(run, tmp_path):
    (tmp_path / "other.json").write_text('{"levels": {"sky": 1}}')
    with pytest.raises(InputError, match=r"other\.json: holds the classes sky, expected"):
        run("--keep", "1", "--thresholds", str(tmp_path / "other.json"))
