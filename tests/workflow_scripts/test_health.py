import json
from pathlib import Path

import numpy as np
import pytest

from cotrain.configuration.run_plan import HealthSettings
from cotrain.data.images import write_label
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from tests.workflow_scripts.test_thresholds import source_check
from workflow_scripts import health

# Of 10 pixels: 4 sky, 3 building, 3 road.
SOURCE = (40, 30, 0, 30, 0, 0, 0, 0, 0, 0, 0)
A, B = "co_training/00/a", "co_training/00/b"


@pytest.fixture
def arguments(tmp_path, predicted_set, settings_file):
    """Return the arguments for a baseline, two branches and a final model on two images of 10×2 pixels."""
    predicted_set("baseline", {"p": [(0, 0.5), (1, 0.5)], "q": [(1, 0.5), (3, 0.9)]})
    predicted_set("a", {"p": [(0, 0.9), (1, 0.9)], "q": [(1, 0.9), (1, 0.9)]})
    predicted_set("b", {"p": [(0, 0.9), (3, 0.9)], "q": [(1, 0.9), (3, 0.9)]})
    predicted_set("final", {"p": [(0, 1.0), (0, 1.0)], "q": [(1, 1.0), (1, 1.0)]})
    label = np.full((2, 10), 255, np.uint8)
    label[0, :8] = 1
    write_label(tmp_path / "label.png", label, [])
    item = Item("p", tmp_path / "p.png", 10, 2, tmp_path / "label.png", kept_pixels=8, score=0.5, classes=1)
    write_manifest(tmp_path / "labels.tsv", [item])
    (tmp_path / "training.json").write_text(
        '{"settings": {"iterations": 3}, "images": {"source": 1, "target": 1}, "vanished_classes": ["road"]}'
    )
    (tmp_path / "temperature.json").write_text(
        '{"temperature": 2.0, "accuracy": 0.75, "confidence": [0.95, 0.8]}'
    )
    settings = HealthSettings(
        before={A: ("baseline",), B: ("baseline",), "final": (A, B)},
        labellers={A: ("baseline",), B: ("baseline",), "final": (A, B)},
        rankings={"self_training": "confidence", "co_training": "threshold_difference"},
        hard_pixel_shares={"self_training": 0.5, "co_training": 0.5, "final": 0.5},
        collaboration="own",
        rare_class_sampling=True,
        final_labels="accumulated",
        final_mixing="none",
        final_initial_weights="baseline",
    )
    files = {"baseline": "baseline.h5", A: "a.h5", B: "b.h5", "final": "final.h5"}
    return [
        *("--images", str(tmp_path / "baseline.tsv")),
        *("--predictions", *(f"{model}={tmp_path / name}" for model, name in files.items())),
        *("--labels", f"final={tmp_path / 'labels.tsv'}"),
        *("--trainings", f"final={tmp_path / 'training.json'}"),
        *("--temperatures", f"final={tmp_path / 'temperature.json'}"),
        *("--source-checks", source_check(tmp_path / "check.json", SOURCE)),
        *("--settings", settings_file(settings, "health"), "--label-space", "camvid11"),
        *("--output", str(tmp_path / "report")),
    ]


def test_by_hand(arguments, tmp_path):
    health.main(arguments)
    content = json.loads((tmp_path / "report" / "health.json").read_text())
    assert content["images"] == 2
    baseline, a, b, final = (content["models"][name] for name in ("baseline", A, B, "final"))
    # Sky, building twice, road; the source has 10 % more sky, 20 % less building and 10 % more road.
    assert baseline["predictions"]["building"] == 0.5
    assert baseline["distance_from_source"] == pytest.approx(0.2)
    assert baseline["confidence"] == pytest.approx(0.6, abs=1e-5)
    assert baseline["agreement_with_before"] is baseline["kept_share"] is baseline["pseudo_labels"] is None
    # Of four rows a differs from the baseline in the last, b in the second, and so two are equal to both.
    assert (a["agreement_with_before"], b["agreement_with_before"]) == (0.75, 0.75)
    assert a["agreement_of_branches"] == b["agreement_of_branches"] == 0.5
    # The final model agrees with a in rows 1, 3 and 4, with b in rows 1 and 3.
    assert final["agreement_with_before"] == pytest.approx((0.75 + 0.5) / 2)
    assert final["kept_share"] == 0.4
    assert final["pseudo_labels"]["building"] == 1
    assert final["missing_classes"] == final["vanished_classes"] == ["road"]
    assert final["held_out"] == {"confidence": 0.8, "accuracy": 0.75}
    kinds = [finding["kind"] for finding in content["findings"]]
    assert kinds == ["collapsed", "starved", "vanished", "unshown"]

    text = (tmp_path / "report" / "health.txt").read_text()
    lines = [line.split() for line in text.splitlines()]
    assert [
        "co_training/00/a",
        "–",
        "75.0",
        "50.0",
        "90.0",
        "building",
        "75.0",
        "45.0",
        "1",
        "0",
        "–",
    ] in lines
    expected = ["final", "40.0", "62.5", "–", "100.0", "sky", "50.0", "30.0", "1", "1", "80.0", "/", "75.0"]
    assert expected in lines
    assert "mIoU\n" not in text
    assert "Whether the run gains or loses is not known" in text
    rows = [line.split("\t") for line in (tmp_path / "report" / "health.tsv").read_text().splitlines()]
    assert rows[0] == ["model", "class", "source", "pseudo-labels", "predictions"]
    assert len(rows) == 1 + 4 * 11
    assert ["baseline", "building", "0.300000", "", "0.500000"] in rows
    assert ["final", "building", "0.300000", "1.000000", "0.500000"] in rows


def test_the_advice_on_rare_classes_fits_the_source(arguments, tmp_path, settings_file, predicted_set):
    path = Path(arguments[arguments.index("--settings") + 1])
    path.write_text(path.read_text().replace('"rare_class_sampling": true', '"rare_class_sampling": false'))
    # Two images of 720,000 pixels with some road, which no model predicts: 0.15 % of them are 1080, or 1100.
    report = Path(arguments[arguments.index("--source-checks") + 1])
    source_check(report, (500_000, 600_000, 0, 20_000, 0, 0, 0, 0, 0, 0, 0))
    content = json.loads(report.read_text()) | {"images": 2, "void_pixels": 320_000}
    report.write_text(json.dumps(content))
    for name in ("baseline", "a", "b", "final"):
        predicted_set(name, {"p": [(0, 0.5), (1, 0.5)], "q": [(1, 0.5), (0, 0.9)]})
    health.main(arguments)
    text = " ".join((tmp_path / "report" / "health.txt").read_text().split())
    assert "No model predicts road" in text
    assert "set training.rare_class_sampling: {enabled: true, min_pixels: 1100}." in text


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--labels", "last={}/labels.tsv", "--labels: found the name 'last', expected that of a model"),
        ("--labels", "self_training/00={}/labels.tsv", "--labels: self_training/00 has no predictions"),
        ("--images", "{}/labels.tsv", r"labels\.tsv: is not the image set of the predictions"),
        ("--labels", "final={}/a.tsv", "image 'p' has no label, expected a manifest of pseudo-labels"),
        ("--images-b", "{}/labels.tsv", "found 1 and 2 images, expected some, and equally many"),
    ],
)
def test_what_does_not_belong_together_is_refused(arguments, tmp_path, flag, value, message):
    with pytest.raises(InputError, match=message):
        health.main([*arguments, flag, value.format(tmp_path)])
    assert not (tmp_path / "report").exists()
