from dataclasses import replace

import pytest

from cotrain.data.images import read_label
from cotrain.data.manifests import read_manifest, verify_labels, write_manifest
from workflow_scripts import relabel


def test_better_labels_replace_old_ones_and_the_others_are_removed(tmp_path, predicted_set, write_thresholds):
    items = predicted_set("x", {"better": [(1, 0.9)], "worse": [(2, 0.7)], "void": [(3, 0.2)]})
    old = [
        replace(item, label=tmp_path / "old" / f"{item.id}.png", score=score, kept_pixels=5, classes=1)
        for item, score in zip(items, (0.8, 0.8, 0.6), strict=True)
    ]
    write_manifest(tmp_path / "accumulated.tsv", old)
    relabel.main(
        [
            *("--accumulated", str(tmp_path / "accumulated.tsv"), "--predictions", str(tmp_path / "x.h5")),
            *("--thresholds", str(write_thresholds("t")), "--label-space", "camvid11"),
            *("--ranking", "confidence"),
            *("--output", str(tmp_path / "new")),
        ]
    )
    merged = read_manifest(tmp_path / "new" / "manifest.tsv")
    assert merged[1:] == old[1:]
    assert merged[0].label == tmp_path / "new" / "labels" / "better.png"
    assert merged[0].score == pytest.approx(0.9, abs=1e-4)
    assert (read_label(merged[0].label) == 1).all()
    verify_labels(merged[:1], "manifest")
    assert [path.name for path in (tmp_path / "new" / "labels").iterdir()] == ["better.png"]
