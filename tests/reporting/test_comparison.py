import pytest

from cotrain.errors import InputError
from cotrain.evaluation.scores import ModelScores
from cotrain.reporting.comparison import (
    ComparedRun,
    Group,
    all_models,
    check_runs,
    comparison_markdown,
    comparison_text,
    differences,
    differences_table,
    differing_settings,
    flattened,
    grouped,
    runs_table,
    scores_table,
    settings_table,
)


def scores(model, mean_iou, protocol=None, images=3):
    return ModelScores(
        model, mean_iou, 0.1, 0.2, 0.3, {"road": mean_iou}, images, protocol or {"flip": False}
    )


def a_run(name, seed, settings=None, test_images=(), **mean_ious):
    return ComparedRun(
        name,
        {"run": name, "seed": seed, "training": {"batch_size": 4} | (settings or {})},
        {model: scores(model, value) for model, value in mean_ious.items()},
        test_images=tuple(test_images),
    )


@pytest.fixture
def groups():
    """Two groups: a with seeds 1, 2 and 3, b (another batch size) with seeds 2, 3 and 4."""
    other = {"batch_size": 8, "crop": [2, 3]}
    return grouped(
        [
            a_run("a3", 3, baseline=0.46, final=0.58),
            a_run("b2", 2, other, baseline=0.41, final=0.61),
            a_run("a1", 1, baseline=0.40, final=0.50),
            a_run("b3", 3, other, baseline=0.45, final=0.62),
            a_run("b4", 4, other, baseline=0.99),
            a_run("a2", 2, baseline=0.43, final=0.60),
        ]
    )


def test_runs_that_differ_only_in_the_seed_are_a_group(groups):
    assert [[run.name for run in group.runs] for group in groups] == [["a1", "a2", "a3"], ["b2", "b3", "b4"]]
    assert [group.name for group in groups] == ["a1 (×3)", "b2 (×3)"]
    assert grouped([a_run("one", 1)])[0].name == "one"


def test_means_and_deviations(groups):
    # 40, 43, 46: mean 43, squares of the deviations 9 + 0 + 9, by two: 9. 61 and 62: mean 61.5, 0.5 by one.
    # 50, 60, 58: mean 56, 36 + 16 + 4 = 56, by two: 28. 41, 45, 99: mean 61.67, by two: 1049.3.
    assert scores_table(groups) == [
        ["mIoU (%)", "a1 (×3)", "b2 (×3)"],
        ["baseline", "43.00 ± 3.00", "61.67 ± 32.39"],
        ["final", "56.00 ± 5.29", "61.50 ± 0.71 (of 2)"],
    ]
    one = Group((a_run("a", 1, baseline=0.4),))
    assert scores_table([one, Group((a_run("b", 1, final=0.5),))]) == [
        *(["mIoU (%)", "a", "b"], ["baseline", "40.00", "–"], ["final", "–", "50.00"]),
    ]


def test_differences_are_paired_by_seed(groups):
    baseline, final = differences(groups)
    assert (baseline.first, baseline.second, baseline.model) == ("a1 (×3)", "b2 (×3)", "baseline")
    # Seeds 2 and 3 of both: 41 - 43 and 45 - 46; 61 - 60 and 62 - 58. Unpaired, b's baseline would be above.
    assert (baseline.seeds, final.seeds) == ((2, 3), (2, 3))
    assert baseline.values == pytest.approx((-2, -1))
    assert final.values == pytest.approx((1, 4))
    assert (baseline.mean, final.mean) == pytest.approx((-1.5, 2.5))
    # 1.5 to both sides: 2.25 + 2.25 by one.
    assert (baseline.deviation, final.deviation) == pytest.approx((0.5**0.5, 4.5**0.5))
    assert differences_table([final])[1] == [
        *("b2 (×3) - a1 (×3)", "final", "+2.50", "2.12", "2", "2 of 2", "2: +1.00, 3: +4.00"),
    ]


def test_without_a_common_seed_there_is_no_pair():
    groups = grouped([a_run("a", 1, final=0.4), a_run("b", 2, {"crop": 1}, final=0.5)])
    assert differences(groups) == []
    assert "Paired" not in comparison_text(groups)
    # One pair has no deviation.
    groups = grouped([a_run("a", 2, final=0.4), a_run("b", 2, {"crop": 1}, final=0.5)])
    assert differences_table(differences(groups))[1][2:5] == ["+10.00", "–", "1"]


def test_what_differs_in_settings(groups):
    assert differing_settings(groups) == {
        "training.batch_size": ("4", "8"),
        "training.crop": ("not given", "[2, 3]"),
    }
    assert settings_table(groups)[0] == ["key", "a1 (×3)", "b2 (×3)"]
    assert flattened({"a": {"b": {"c": 1}, "d": {}}, "e": None}) == {"a.b.c": 1, "a.d": {}, "e": None}
    pair = grouped([a_run("a", 1, {"x": True, "y": None}), a_run("b", 1, {"x": False, "y": {}})])
    assert differing_settings(pair) == {"training.x": ("true", "false"), "training.y": ("null", "{}")}


def test_one_run_given_twice_is_refused():
    with pytest.raises(InputError, match="a and b have the same settings and the seed 1: they are one run"):
        grouped([a_run("a", 1, final=0.4), a_run("b", 1, final=0.4)])


def test_scores_that_say_nothing_about_each_other_are_refused():
    first = a_run("a", 1, test_images=[("x", "12"), ("y", "34")], final=0.4)
    check_runs([first, a_run("b", 2, test_images=[("x", "12"), ("y", "34")], final=0.4)])
    # Of runs whose images are not known, the number counts.
    check_runs([first, a_run("b", 2, final=0.4)])
    with pytest.raises(InputError, match=r"scores of a and b cannot be compared: .* first in the image 'y'"):
        check_runs([first, a_run("b", 2, test_images=[("x", "12"), ("y", "35")], final=0.4)])
    flipped = ComparedRun("b", {}, {"final": scores("final", 0.4, {"flip": True})})
    with pytest.raises(InputError, match=r"`a: final` and `b: final` cannot be compared: protocol\.flip is"):
        check_runs([first, flipped])
    fewer = ComparedRun("b", {}, {"final": scores("final", 0.4, images=2)})
    with pytest.raises(InputError, match="number of images is 3"):
        check_runs([first, fewer])


def test_models_are_in_the_order_of_a_run():
    longer = ComparedRun("b", {}, {}, ("baseline", "self_training/00", "self_training/01", "final"))
    shorter = ComparedRun("a", {}, {}, ("baseline", "self_training/00", "final"))
    assert all_models([shorter, longer]) == [
        *("baseline", "self_training/00", "self_training/01", "final"),
    ]


def test_health_stands_beside_each_run_and_scores_may_be_missing():
    settings = {"run": "a", "seed": 1}
    ill = ComparedRun(
        "a", settings, {}, ("baseline",), outcome="Unknown.", findings=("lower", "lower", "missing")
    )
    well = ComparedRun("b", settings | {"seed": 2}, {}, ("baseline",), outcome="Unknown.", seconds=90)
    unknown = ComparedRun("c", settings | {"seed": 3}, {})
    groups = grouped([ill, well, unknown])
    assert [row[2:] for row in runs_table(groups)] == [
        ["seed", "models", "trainings (min)", "health"],
        ["1", "1", "–", "lower, missing"],
        ["2", "1", "1.5", "nothing found"],
        ["3", "0", "–", "–"],
    ]
    text = comparison_markdown(groups)
    assert "## Runs" in text
    assert "Scores" not in text
