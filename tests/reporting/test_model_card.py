import re

import msgspec
import pytest

from cotrain.data.label_spaces import make_label_space
from cotrain.data.network_sizes import FirstWeights
from cotrain.evaluation.scores import ModelScores
from cotrain.reporting.model_card import ModelFacts, model_card
from cotrain.reporting.page.records import FindingRecord, HealthOfModel, HealthRecord
from cotrain.training.record import RecordedImages, RecordedSettings, TrainingRecord

SPACE = make_label_space(
    "two", [{"class": "road", "colour": [128, 64, 128]}, {"class": "sky", "colour": [70, 130, 180]}]
)
RECORD = TrainingRecord(
    model="self_training/01",
    settings=RecordedSettings(
        iterations=120, batch_size=4, network={"name": "deeplabv3plus", "backbone": "resnet50"}
    ),
    images=RecordedImages(source=240, target=30, kept_share=0.625),
    last_loss=0.71849,
    parents={"results/a/images.tsv": "1f", "results/a/models/baseline/weights.safetensors": "2e"},
    versions={"python": "3.12.1", "torch": "2.6.0"},
)
FACTS = ModelFacts(
    source=["game", "carla"],
    target="camera",
    parameters=1234567,
    first_weights=FirstWeights(
        what="resnet50.a1_in1k of timm", pretrained=True, licence="mit", url="https://a"
    ),
    views={"resize": (216, 384), "flip": True},
    code="cotrain 7.8.9, commit abc",
)
SCORES = ModelScores(
    "self_training/01", 0.5, 0.61, 0.72, 0.83, {"road": 0.9, "sky": None}, 12, {"flip": True}
)


def card(record=RECORD, **changes):
    facts = {name: getattr(FACTS, name) for name in FACTS.__dataclass_fields__}
    return model_card(record, SPACE, ModelFacts(**(facts | changes)))


def with_record(**changes):
    return card(msgspec.structs.replace(RECORD, **changes))


def loading(text):
    return re.search(r"cotrain\.load_model\((.*)\)\n", text)[1]


def test_a_card_says_what_the_model_is():
    text = card()
    for line in (
        "# Model `self_training/01`",
        "- Network: deeplabv3plus, backbone resnet50 (timm), 1,234,567 parameters",
        "- Input: RGB images of any size; in its run they are predicted with resize [216, 384], flip true",
        "- Output: for each pixel one of 2 classes, and its probability",
        "- Trained by: cotrain 7.8.9, commit abc; python 3.12.1, torch 2.6.0",
        "- Source: 240 labelled images of game, carla",
        "- Target: 30 images of camera with pseudo-labels, which cover 62.5 % of their pixels",
        "- 120 iterations with batches of 4 images; the last loss was 0.718",
        "- It went on from the weights `results/a/models/baseline/weights.safetensors`",
        "No scores: no test set is given, so nothing says how good it is. What is known without labels:",
        "- The health of its run, `report/health.txt` there, compares it with the other models",
        "| class | train id | red, green, blue |",
        "| road | 0 | 128, 64, 128 |",
        "| sky | 1 | 70, 130, 180 |",
        "- First weights: resnet50.a1_in1k of timm (https://a)",
        "- Licence of the first weights: mit",
    ):
        assert f"{line}\n" in text
    assert "images.tsv" not in text


def test_scores_and_what_is_known_without_them():
    text = with_record(vanished_classes=["sky"])
    assert "- Classes that it no longer predicted near the end of its training: sky\n" in text
    text = card(scores=SCORES, scored_on="camera_test", notes=["a test image is a target image"])
    assert "In per cent, measured on camera_test: 12 images, 2 classes, flip: yes.\n" in text
    assert "| mIoU | fwIoU | pixel accuracy | mean class accuracy |\n" in text
    assert "| 50.00 | 61.00 | 72.00 | 83.00 |\n" in text
    assert "- Note: a test image is a target image\n" in text
    assert "| class | train id | red, green, blue | IoU (%) |\n" in text
    assert "| road | 0 | 128, 64, 128 | 90.0 |\n" in text
    assert "| sky | 1 | 70, 130, 180 | – |\n" in text
    assert "No scores" not in text


def test_the_health_stands_in_for_scores():
    of_model = HealthOfModel(
        kept_share=0.625,
        agreement_with_before=0.924,
        agreement_of_branches=None,
        confidence=0.899,
        distance_from_source=0.2,
        missing_classes=["sky"],
        vanished_classes=[],
        pseudo_labels=None,
        predictions={"road": 0.98, "sky": 0.02},
    )
    health = HealthRecord(
        images=32,
        outcome="Not known.",
        findings=[FindingRecord(kind="missing", text="No model predicts sky; set a: b.")],
        source={"road": 0.6, "sky": 0.4},
        models={"self_training/01": of_model},
    )
    text = card(health=health)
    for line in (
        "- Its mean confidence on 32 images of the camera: 89.9 %",
        "- Its largest class there: road, 98.0 % of the pixels; in the source's labels 60.0 %",
        "- Pixels there that it takes for the same class as the model before it: 92.4 %",
        "- Classes that the source shows and that it hardly predicts: sky",
        "- Verdict on the run: No model predicts sky; set a: b.",
    ):
        assert f"{line}\n" in text
    assert "compares it with the other models" not in text
    well = msgspec.structs.replace(health, findings=[], models={})
    assert "- Verdict on the run: Nothing that can be seen without labels looks wrong.\n" in card(health=well)
    # Scores say more.
    assert "confidence on 32" not in card(health=health, scores=SCORES)


def test_models_without_target_and_with_true_labels():
    text = with_record(images=RecordedImages(source=240, target=0), parents={})
    assert "- Target: no image is trained on\n" in text
    assert "went on" not in text
    text = with_record(images=RecordedImages(source=240, target=30))
    assert "- Target: 30 images of camera with their own labels\n" in text


@pytest.mark.parametrize(
    ("first", "line"),
    [
        (None, "First weights of the backbone: not recorded"),
        (FirstWeights(what="random numbers", pretrained=False), "First weights: random numbers"),
        (
            FirstWeights(what="x", pretrained=True, url="https://b"),
            "Licence of the first weights: not known here; look where they are from (https://b)",
        ),
    ],
)
def test_first_weights(first, line):
    assert f"- {line}\n" in card(first_weights=first)


def test_how_to_load_it():
    own = RecordedSettings(iterations=1, network={"name": "my.networks:small"})
    assert loading(card()) == '"path/of/this/folder", settings={"resize": [216, 384], "flip": True}'
    assert loading(card(views={})) == '"path/of/this/folder"'
    assert loading(card(views={}, weights="weights.safetensors", is_calibrated=True)) == (
        '"path/of/this/folder/weights.safetensors", temperature="path/of/this/folder/temperature.json"'
    )
    text = card(msgspec.structs.replace(RECORD, settings=own), views={})
    assert loading(text) == '"path/of/this/folder", allow_code=["my.networks:small"]'
