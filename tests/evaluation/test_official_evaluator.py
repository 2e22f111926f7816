"""Our scores are compared with those of the official evaluator of Cityscapes, on the same label files."""

from importlib import import_module

import numpy as np
import pytest

from cotrain.data.class_tables import class_table, translation_table
from cotrain.data.images import read_label, write_label
from cotrain.data.label_spaces import label_space
from cotrain.evaluation.scores import confusion_matrix, scores

official = import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")

SPACE = label_space("cityscapes19")
TO_TRAIN_ID = translation_table(class_table("cityscapes_ids"), SPACE)
TRAINED_IDS = np.flatnonzero(TO_TRAIN_ID != 255)


def write_pairs(folder, seed, truth_ids, predicted_ids):
    """Write three pairs of label files with regions and noise, in label ids of Cityscapes."""
    rng = np.random.default_rng(seed)
    predictions, truths = [], []
    for index in range(3):
        truth = np.kron(rng.choice(truth_ids, (6, 8)), np.ones((10, 10), int))
        wrong = rng.random(truth.shape) < 0.3
        predicted = np.where(
            wrong | ~np.isin(truth, predicted_ids), rng.choice(predicted_ids, truth.shape), truth
        )
        for kind, ids, paths in (("prediction", predicted, predictions), ("truth", truth, truths)):
            paths.append(folder / f"{kind}_{index}_labelIds.png")
            write_label(paths[-1], ids.astype(np.uint8), SPACE.palette)
    return predictions, truths


def ours(predictions, truths):
    confusion = sum(
        confusion_matrix(
            TO_TRAIN_ID[read_label(truth)], TO_TRAIN_ID[read_label(prediction)], SPACE.number_of_classes
        )
        for prediction, truth in zip(predictions, truths, strict=True)
    )
    return scores(confusion, SPACE.classes)


def theirs(predictions, truths, monkeypatch):
    # Scores of instances would need files of instances, and a function that NumPy no longer has.
    for key, value in (("evalInstLevelScore", False), ("quiet", True), ("JSONOutput", False)):
        monkeypatch.setattr(official.args, key, value)
    return official.evaluateImgLists([*map(str, predictions)], [*map(str, truths)], official.args)


@pytest.mark.parametrize(
    ("truth_ids", "predicted_ids"),
    [
        # Every id occurs on both sides: ignored ids in the truth, and as predictions, which are misses.
        (np.arange(34), np.arange(34)),
        # Some classes are predicted but never occur.
        ([7, 8, 11, 23], TRAINED_IDS),
        # Some classes occur but are never predicted; some do neither, and have no score.
        ([4, 7, 8, 24, 33], [7, 8, 26]),
    ],
)
def test_scores_equal_those_of_the_official_evaluator(tmp_path, monkeypatch, truth_ids, predicted_ids):
    files = write_pairs(tmp_path, 1, truth_ids, predicted_ids)
    expected, result = theirs(*files, monkeypatch), ours(*files)
    for name, value in result["iou"].items():
        of_class = expected["classScores"][name]
        assert (value is None) == bool(np.isnan(of_class))
        assert value is None or value == of_class
    assert result["mean_iou"] == expected["averageScoreClasses"]
    assert f"{result['mean_iou']:.3f}" == f"{expected['averageScoreClasses']:.3f}"
