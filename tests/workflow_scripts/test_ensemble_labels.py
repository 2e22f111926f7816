import pytest

from cotrain.data.images import read_label
from cotrain.data.manifests import read_manifest
from workflow_scripts import ensemble_labels


def test_the_surer_model_wins_under_the_lower_threshold(tmp_path, predicted_set, write_thresholds):
    predicted_set("a", {"x": [(0, 0.9), (1, 0.6), (2, 0.55), (4, 0.7)], "void": [(0, 0.1)]})
    predicted_set("b", {"x": [(1, 0.8), (2, 0.7), (3, 0.52), (3, 0.7)], "void": [(0, 0.3)]})
    a = write_thresholds("ta", {0: 0.95, 2: 0.65})
    b = write_thresholds("tb", {0: 0.85, 2: 0.6})
    ensemble_labels.main(
        [
            *(
                "--images",
                str(tmp_path / "a.tsv"),
                "--images-b",
                str(tmp_path / "b.tsv"),
                "--thresholds",
                str(a),
                str(b),
                "--label-space",
                "camvid11",
            ),
            *("--predictions-a", str(tmp_path / "a.h5"), "--predictions-b", str(tmp_path / "b.h5")),
            *("--output", str(tmp_path / "ensemble")),
        ]
    )
    items = read_manifest(tmp_path / "ensemble" / "manifest.tsv")
    # An image without any label left is not trained on.
    assert [item.id for item in items] == ["x"]
    # a with 0.9 over 0.85; b with 0.7 over 0.6; a with 0.55 below 0.6; equally sure: the lower id.
    assert [set(row.tolist()) for row in read_label(items[0].label)] == [{0}, {2}, {255}, {3}]
    assert items[0].score == pytest.approx((0.9 + 0.7 + 0.7) / 3, abs=1e-4)
