import numpy as np

from cotrain.evaluation.oracle import oracle_scores
from cotrain.reporting.oracle_tables import classes_table, oracle_text, share_table, steps_table

CLASSES = ("road", "car")
# Of 4 pixels of road, 2 are kept as road and 2 are dropped; the only pixel of car is kept as road.
FIRST = {"images": 5, **oracle_scores(np.array([[2, 0, 2], [1, 0, 0]]), CLASSES)}
SECOND = {"images": 7, **oracle_scores(np.array([[4, 0, 0], [0, 1, 0]]), CLASSES)}
STUDIES = {"self_training/00": FIRST, "ensemble": SECOND}


def test_steps_table():
    assert steps_table(STUDIES) == [
        [
            *("step", "images", "classes", "mean precision", "mean coverage", "mean recall"),
            *("pixel precision", "pixel coverage"),
        ],
        ["self_training/00", "5", "1", "66.67", "37.50", "25.00", "66.67", "60.00"],
        ["ensemble", "7", "2", "100.00", "100.00", "100.00", "100.00", "100.00"],
    ]


def test_share_table():
    assert share_table(STUDIES, "precision") == [
        ["step", "road", "car"],
        ["self_training/00", "66.7", "–"],
        ["ensemble", "100.0", "100.0"],
    ]


def test_classes_table():
    table = classes_table(STUDIES)
    assert table[0] == [
        *("step", "class", "precision", "coverage", "recall"),
        *("labelled pixels", "kept pixels", "agreeing pixels"),
    ]
    assert table[1] == ["self_training/00", "road", "66.67", "75.00", "50.00", "4", "3", "2"]
    assert [line[:2] for line in table[3:]] == [["ensemble", "road"], ["ensemble", "car"]]


def test_text_says_what_it_is_and_fits_a_terminal():
    classes = [f"a rather long class {number}" for number in range(19)]
    confusion = np.full((19, 20), 3)
    studies = {
        f"self_training/{k:02d}": {"images": 1, **oracle_scores(confusion, classes)} for k in range(10)
    }
    text = oracle_text(studies)
    assert text.startswith("Oracle study: it reads labels of the target")
    assert max(map(len, text.splitlines())) <= 110
    for share in ("Precision", "Coverage", "Recall"):
        assert f"{share} by class (%)" in text
    assert text.count("a rather long class 18") == 3 * 3, "three tables for each share"
