import numpy as np
import pytest
from PIL import Image

from cotrain.data.images import read_label
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest
from cotrain.errors import InputError
from workflow_scripts import exchange

# Two branches, three images of four rows, thresholds 0.5.
# a is surest of class 1 in image "one", of class 2 nowhere; b knows class 2 in "two".
OF_A = {
    "one": [(0, 0.9), (1, 0.9), (0, 0.4), (0, 0.4)],
    "two": [(0, 0.8), (0, 0.8), (0, 0.2), (0, 0.2)],
    "three": [(0, 0.2), (0, 0.2), (0, 0.2), (1, 0.6)],
}
OF_B = {
    "one": [(2, 0.6), (0, 0.2), (0, 0.7), (0, 0.3)],
    "two": [(0, 0.9), (0, 0.2), (2, 0.9), (2, 0.9)],
    "three": [(0, 0.3), (0, 0.3), (0, 0.3), (0, 0.3)],
}


@pytest.fixture
def run(tmp_path, predicted_set, write_thresholds):
    predicted_set("a", OF_A)
    predicted_set("b", OF_B)

    def go(*more, thresholds_a=None, thresholds_b=None):
        arguments = ["--label-space", "camvid11", "--min-pixels", "9", "--output", str(tmp_path / "cycle")]
        arguments += ["--fill", "add", "--ranking", "threshold_difference", "--collaboration", "exchange"]
        for name, chosen in (("a", thresholds_a), ("b", thresholds_b)):
            arguments += [f"--subset-{name}", str(tmp_path / f"{name}.tsv")]
            arguments += [f"--predictions-{name}", str(tmp_path / f"{name}.h5")]
            arguments += [f"--thresholds-{name}", str(write_thresholds(f"thresholds_{name}", chosen))]
        exchange.main([*arguments, *more])
        return [read_manifest(tmp_path / "cycle" / name / "selected.tsv") for name in "ab"]

    return go


def ids(items):
    return [item.id for item in items]


def rows_of(item):
    return [set(row.tolist()) for row in read_label(item.label)]


def whys(tmp_path, name):
    """Return what the branch's scores.tsv says of each image; it begins with "to" where it was chosen."""
    lines = (tmp_path / "cycle" / name / "scores.tsv").read_text().splitlines()[1:]
    cells = [line.split("\t")[1:3] for line in lines]
    assert all((chosen == "yes") == why.startswith("to ") for chosen, why in cells)
    return [why for _, why in cells]


def test_each_branch_gets_the_other_ones_best(run, tmp_path):
    for_a, for_b = run("--fill", "none", "--ranking", "confidence", "--keep", "1")
    # b's scores: 0.65, 0.9, 0; a's: 0.9, 0.8, 0.6.
    assert (ids(for_a), ids(for_b)) == (["two"], ["one"])
    assert rows_of(for_a[0]) == [{0}, {255}, {2}, {2}]
    assert rows_of(for_b[0]) == [{0}, {1}, {255}, {255}]
    # The score is the sender's.
    assert for_a[0].score == pytest.approx(0.9, abs=1e-4)
    assert for_b[0].score == pytest.approx(0.9, abs=1e-4)
    assert whys(tmp_path, "a") == [
        "to b for confidence: rank 1",
        "confidence: rank 2 of 3, 1 image is taken",
        "confidence: rank 3 of 3, 1 image is taken",
    ]
    assert whys(tmp_path, "b") == [
        "confidence: rank 2 of 3, 1 image is taken",
        "to a for confidence: rank 1",
        "no pixel exceeds the threshold of its class",
    ]


def test_an_image_without_labels_is_not_sent(run, tmp_path):
    for_a, for_b = run("--fill", "none", "--ranking", "confidence", "--keep", "3")
    assert (ids(for_a), ids(for_b)) == (["two", "one"], ["one", "two", "three"])
    assert whys(tmp_path, "b")[2] == "no pixel exceeds the threshold of its class"


def test_own_keeps_what_is_own(run):
    for_a, for_b = run("--fill", "none", "--ranking", "confidence", "--keep", "1", "--collaboration", "own")
    assert (ids(for_a), ids(for_b)) == (["one"], ["two"])
    assert rows_of(for_a[0]) == [{0}, {1}, {255}, {255}]


def test_both_takes_an_image_once_with_the_own_label(run, tmp_path):
    for_a, for_b = run("--fill", "none", "--ranking", "confidence", "--keep", "2", "--collaboration", "both")
    # a: its own best is "one", then b's best. b: its own "two", then a's best.
    assert (ids(for_a), ids(for_b)) == (["one", "two"], ["two", "one"])
    assert rows_of(for_a[0]) == [{0}, {1}, {255}, {255}]
    assert rows_of(for_a[1]) == [{0}, {255}, {2}, {2}]
    assert whys(tmp_path, "a") == [
        "to a and b for confidence: rank 1",
        "confidence: rank 2, but branch b takes the image with its own label",
        "confidence: rank 3 of 3, 2 images are taken",
    ]


def test_adding_fills_gaps_of_the_sender(run):
    for_a, for_b = run("--fill", "add", "--ranking", "confidence", "--keep", "1")
    assert rows_of(for_a[0]) == [{0}, {0}, {2}, {2}]
    # "one": a has rows 0 and 1, b fills row 2; in row 0 each keeps its own.
    assert rows_of(for_b[0]) == [{0}, {1}, {0}, {255}]
    assert for_b[0].score == pytest.approx(0.9, abs=1e-4)


def test_subtracting_drops_what_differs(run):
    _, for_b = run("--fill", "subtract", "--ranking", "confidence", "--keep", "1")
    assert rows_of(for_b[0]) == [{255}, {1}, {0}, {255}]


def test_class_demand_sends_what_the_receiver_lacks(run, tmp_path):
    for_a, for_b = run(
        "--fill", "none", "--keep", "1", thresholds_a={1: 0.55, 2: 0.9}, thresholds_b={1: 0.9, 2: 0.55}
    )
    # Receiver − sender, for b's images: class 1 first (0.55 − 0.9), of which b has none, then by id class 0,
    # surest in "two"; class 2 is the last.
    names = label_space("camvid11").classes
    assert ids(for_a) == ["two"]
    # "one" shows class 2 too, but for it "two" is so much surer that "one" is not among the surest.
    assert whys(tmp_path, "b") == [
        f"threshold_difference: confidence too low among the images of {names[0]}, {names[2]}",
        f"to a for threshold_difference: {names[0]}",
        "no pixel exceeds the threshold of its class",
    ]
    # For a's images class 2 comes first, of which a has none, then class 0, surest in "one".
    assert ids(for_b) == ["one"]
    assert whys(tmp_path, "a")[0] == f"to b for threshold_difference: {names[0]}"


def test_receiver_threshold_sends_the_receivers_weakest_class_first(run, tmp_path):
    for_a, for_b = run(
        "--fill",
        "none",
        "--keep",
        "2",
        "--ranking",
        "receiver_threshold",
        thresholds_a={0: 0.6},
        thresholds_b={0: 0.6},
    )
    # Class 1 comes before class 0: a sends "one" (0.9 of class 1), not "three" (0.6, too far below), and
    # then for class 0 "one" again and nothing of "two" (0.8 < 0.9 − 0.2 · 0.1).
    assert ids(for_b) == ["one"]
    names = label_space("camvid11").classes
    assert whys(tmp_path, "a") == [
        f"to b for receiver_threshold: {names[1]}",
        f"receiver_threshold: confidence too low among the images of {names[0]}",
        f"receiver_threshold: confidence too low among the images of {names[1]}",
    ]
    # b sends for class 2 "two" (0.9), not "one" (0.6), and for class 0 "two" again.
    assert ids(for_a) == ["two"]
    assert whys(tmp_path, "b")[1] == f"to a for receiver_threshold: {names[2]}"


def test_classes_of_few_pixels_ask_for_no_image(run, tmp_path, caplog):
    flags = ["--fill", "none", "--keep", "3", "--min-pixels", "20"]
    with pytest.raises(InputError, match="branch a and b gets no image to train on") as error:
        run(*flags)
    assert not (tmp_path / "cycle" / "a" / "selected.tsv").exists()
    # A later cycle trains on the images of those before it.
    for_a, for_b = run(*flags, "--cycle", "1")
    assert (ids(for_a), ids(for_b)) == ([], [])
    names = label_space("camvid11").classes
    for branch, name, image in (("a", names[0], "two"), ("b", names[2], "two")):
        for text in (str(error.value), caplog.text):
            assert (
                f"branch {branch} offers no image: none shows a class with more than 20 pixels; "
                f"the most are 20 of {name} in {tmp_path / image}.png. Set co_training.min_pixels"
            ) in text
        assert f"warning: this cycle adds no image to those before it in branch {branch}" in caplog.text
    assert whys(tmp_path, "a")[0] == "threshold_difference: shows no class with more than 20 pixels"


@pytest.mark.parametrize("fill", ["none", "add"])
def test_thresholds_that_leave_a_branch_no_label_are_to_blame(run, tmp_path, caplog, fill):
    flags, above_all = ["--fill", fill, "--keep", "3"], dict.fromkeys(range(3), 0.95)
    for_a, _ = run(*flags, "--cycle", "2", thresholds_b=above_all)
    assert ids(for_a) == []
    with pytest.raises(InputError, match="branch a gets no image to train on") as error:
        run(*flags, thresholds_b=above_all)
    reason = f"branch b: no image has a label left by the thresholds of {tmp_path / 'thresholds_b.json'}"
    for text, iterations in ((caplog.text, "co_training"), (str(error.value), "self_training")):
        assert reason in text
        assert f"raise {iterations}.iterations" in text
        assert "branch a:" not in text


def test_a_branch_without_labels_does_no_harm_where_each_trains_on_its_own(run, caplog):
    with pytest.raises(InputError, match="branch b gets no image"):
        run("--keep", "3", "--collaboration", "own", thresholds_b=dict.fromkeys(range(3), 0.95))
    for_a, for_b = run("--keep", "2", "--collaboration", "both", thresholds_b=dict.fromkeys(range(3), 0.95))
    assert for_a
    assert for_b
    assert "warning: branch b: no image has a label left" in caplog.text


def test_the_label_table_counts_after_filling(run, tmp_path):
    run("--fill", "add", "--ranking", "confidence", "--keep", "1")
    lines = (tmp_path / "cycle" / "b" / "scores.tsv").read_text().splitlines()
    header, third = lines[0].split("\t"), lines[3].split("\t")
    row = dict(zip(header, third, strict=True))
    # Image "three" of b is void; a's row of class 1 fills a quarter of it.
    assert (row["id"], row["kept_share"]) == ("three", "0.250000")
    assert row[header[5 + 1]] == "0.250000"


def test_ego_vehicle_takes_no_part(run, tmp_path):
    mask = np.zeros((4, 10), np.uint8)
    mask[0] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    flags = ["--fill", "none", "--ranking", "confidence", "--keep", "1"]
    for_a, for_b = run(*flags, "--ego-vehicle-mask", str(tmp_path / "mask.png"))
    # Without the first row a's best is "one" with class 1, b's "two" with class 2.
    assert (ids(for_a), ids(for_b)) == (["two"], ["one"])
    assert rows_of(for_a[0]) == [{255}, {255}, {2}, {2}]
    assert rows_of(for_b[0]) == [{255}, {1}, {255}, {255}]


@pytest.mark.parametrize("branch", "ab")
def test_thresholds_of_another_model_are_refused(run, write_thresholds, branch):
    path = write_thresholds("other", model="another model")
    message = (
        rf"other\.json: holds the thresholds of another model, .*{branch}\.h5; expected those of the same"
    )
    with pytest.raises(InputError, match=message):
        run("--keep", "1", f"--thresholds-{branch}", str(path))


def test_lists_of_different_length_are_refused(run, predicted_set):
    predicted_set("b", {name: OF_B[name] for name in ("one", "two")})
    with pytest.raises(InputError, match=r"a\.tsv lists 3 images, .*b\.tsv 2"):
        run("--keep", "1")


def test_paired_images_of_other_sizes_are_refused(run, predicted_set):
    predicted_set("b", OF_B | {"three": [(0, 0.9)]})
    with pytest.raises(InputError, match=r"three\.png is 10×4, its pair .*three\.png 10×1"):
        run("--keep", "1", "--fill", "add")


def test_unknown_rankings_are_refused_at_once(run):
    with pytest.raises(SystemExit):
        run("--keep", "1", "--ranking", "best")


def test_branches_with_images_of_their_own(run, predicted_set):
    # Branch b sees the same scenes through other images: it trains on its own with a's labels.
    predicted_set("b", {f"night {name}": rows for name, rows in OF_B.items()})
    for_a, for_b = run("--fill", "none", "--ranking", "confidence", "--keep", "1")
    assert (ids(for_a), ids(for_b)) == (["two"], ["night one"])
    assert rows_of(for_b[0]) == [{0}, {1}, {255}, {255}]
    assert np.all(read_label(for_a[0].label)[0] == 0)
