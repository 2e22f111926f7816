"""The page of a run: what each section says, with numbers worked out by hand."""

import json
import re

import numpy as np
import pytest

from cotrain.configuration.names import FINAL
from cotrain.configuration.reading import resolve
from cotrain.data.images import read_image
from cotrain.data.masks import EgoVehicleMask
from cotrain.errors import InputError
from cotrain.evaluation.scores import read_confusion, write_confusion
from cotrain.reporting.page.charts import Series, bar_chart, line_chart
from cotrain.reporting.page.cost import (
    AFTER,
    BEFORE,
    commands,
    cost,
    critical_path,
    differences,
    in_words,
    node_of,
)
from cotrain.reporting.page.failures import example_of, worst_confusions
from cotrain.reporting.page.learning import learning, thinned
from cotrain.reporting.page.look import Layer, Pictures, Room, galleries, iou_of, scaled_size, within
from cotrain.reporting.page.records import Job, read_run
from cotrain.reporting.page.render import as_script
from cotrain.reporting.page.tables import Cell
from cotrain.reporting.page.verdict import best_model, verdict
from tests.page_run import GAINS, SPACE, configuration_of, write_run
from workflow_scripts.page import main

# ------------------------------------------------------------------------------------- verdict


def verdict_of(folder, mean_iou=GAINS, **options):
    return verdict(read_run(write_run(folder, mean_iou, names=["one.png"], **options)))


def test_a_good_run_worked(tmp_path):
    found = verdict_of(tmp_path)
    assert (found.tone, found.word) == ("good", "It worked")
    assert (
        "56.0\u00a0% mIoU on 40 test images, 6.0 points more than the baseline (50.0\u00a0%)"
        in found.sentence
    )
    assert [(number.name, number.value, number.note) for number in found.numbers] == [
        ("Baseline", "50.0", "mIoU (%) without adaptation"),
        ("Self-training, round 1", "53.0", "+3.0 points"),
        # The better branch.
        ("Co-training, cycle 0, branch b", "55.0", "+5.0 points"),
        ("Final", "56.0", "+6.0 points"),
    ]
    bound, following = found.warnings
    assert bound.tone == following.tone == "neutral"
    assert "How far this is from the best it could be is not known" in bound.text
    assert following.text.startswith("What next: look below")


def test_an_upper_bound_tells_how_much_of_the_gap_is_closed(tmp_path):
    found = verdict_of(tmp_path, GAINS | {"upper_bound": 0.62})
    # 6 of 12 points.
    assert (
        "closes 50\u00a0% of the gap to a model trained with the camera's own labels (62.0\u00a0%)"
        in found.sentence
    )
    [following] = found.warnings
    assert following.text.startswith("What next")


@pytest.mark.parametrize(
    ("final", "tone", "word", "text"),
    [
        (0.45, "bad", "It did not work", "5.0 points less than the baseline"),
        (0.503, "warn", "It changed nothing", "+0.3 points against the baseline"),
        # Half a point below co_training/00/b is a true loss, less is none.
        (0.544, "warn", "It gained, but", "An earlier model is better: co_training/00/b (55.0\u00a0%)."),
        (0.546, "good", "It worked", "4.6 points more than the baseline"),
    ],
)
def test_a_run_that_does_not_gain(tmp_path, final, tone, word, text):
    found = verdict_of(tmp_path, GAINS | {"final": final})
    assert (found.tone, found.word) == (tone, word)
    assert text in found.sentence


def test_the_model_to_use_is_the_best_one(tmp_path):
    for name, final, best in (("a", 0.56, "final"), ("b", 0.52, "co_training/00/b"), ("c", 0.546, "final")):
        run = write_run(tmp_path / name, GAINS | {"final": final}, names=["one.png"])
        records = read_run(run)
        assert best_model(records) == best
        [use] = [one for one in commands(records) if one.what.startswith("Use the model")]
        assert use.what.startswith(f"Use the model {best}")
        assert f"--model {run}/models/{best}" in use.command
    falling = {model: 0.5 - place / 100 for place, model in enumerate(GAINS)}
    found = verdict_of(tmp_path / "d", falling)
    assert found.sentence.endswith("No model of this run is better than the baseline.")
    unscored = read_run(write_run(tmp_path / "e", test=False, names=["one.png"]))
    assert best_model(unscored) == "final"


def test_it_says_what_to_do_next(tmp_path):
    lower = [("lower", "Final is lower: set a key.")]
    for name, options, text in (
        ("a", {"mean_iou": GAINS | {"final": 0.4}, "findings": lower}, "turn the key that the first message"),
        # A hint names no key that would help.
        ("b", {"mean_iou": GAINS | {"final": 0.4}, "findings": [("alike", "Alike.")]}, "under Learning"),
        ("c", {"test": False}, "label some photos of the camera"),
    ):
        notes = verdict_of(tmp_path / name, **options).warnings
        [following] = [note.text for note in notes if note.text.startswith("What next")]
        assert text in following
    assert not any("What next" in note.text for note in verdict_of(tmp_path / "d", {}).warnings)


def test_a_run_that_went_wrong_names_settings_that_are_hardly_meant(tmp_path):
    texts = [note.text for note in verdict_of(tmp_path, GAINS | {"final": 0.4}).warnings]
    assert any("co_training.images_per_cycle is 500, and b has 1 images" in text for text in texts)
    good = verdict_of(tmp_path / "good").warnings
    assert not any("hardly meant" in note.text for note in good)


def test_a_gain_that_leaves_a_model_without_use_is_not_called_good(tmp_path):
    found = verdict_of(tmp_path, {model: value / 4 for model, value in GAINS.items()})
    assert (found.tone, found.word) == ("warn", "It gained, but")
    assert found.sentence.endswith("With so low a score, the model is hardly of use.")
    # 14 % in each of seven classes.
    classes = ("flat", "construction", "object", "nature")
    weak = f"The final model hardly finds {', '.join(f'{name} (14.0 %)' for name in classes)} and 3 more"
    assert any(note.tone == "warn" and note.text.startswith(weak) for note in found.warnings)


def test_a_collapsed_run_did_not_work(tmp_path):
    finding = ("collapsed", "Self_training/00 has collapsed: 97.0 % of the target is sky to it.")
    found = verdict_of(tmp_path, GAINS | {"final": 0.1}, findings=[finding])
    assert (found.tone, found.word) == ("bad", "It did not work")
    assert found.warnings[0] == ("bad", finding[1])
    unscored = verdict_of(tmp_path / "other", test=False, findings=[finding])
    assert (unscored.tone, unscored.word) == ("bad", "It did not work")


def test_without_labels_it_says_what_is_not_known_and_shows_the_health(tmp_path):
    found = verdict_of(tmp_path, test=False)
    assert (found.tone, found.word) == ("neutral", "Finished, not scored")
    assert found.sentence.startswith("Nothing looks wrong. How good the final model is, is not known")
    assert [(number.name, number.value) for number in found.numbers] == [
        ("Missing classes", "0"),
        ("Pixels kept", "60 %"),
        ("Same as before", "90 %"),
        ("Confidence", "80 %"),
    ]
    assert found.numbers[0].note == "of 7 that the source shows"
    assert "It is no score" in found.numbers[-1].note
    warned = verdict_of(
        tmp_path / "other", test=False, findings=[("unshown", "No sky."), ("alike", "Alike.")]
    )
    # The second one is only a hint.
    assert (warned.tone, warned.sentence[:24]) == ("warn", "One thing looks wrong. H")
    assert warned.warnings[0] == ("warn", "No sky.")


def test_a_run_at_work_says_how_far_it_is(tmp_path):
    found = verdict_of(tmp_path, {"baseline": 0.5, "self_training/00": 0.52})
    assert found.word == "Not finished"
    assert found.sentence.startswith("2 of 6 models are trained; the newest is self_training/00, with 52.0")
    assert "+2.0 points" in found.sentence
    assert found.numbers[-1][:3] == ("Final", "–", "not trained yet")


def test_a_run_that_stopped_says_why(tmp_path):
    run = write_run(tmp_path, {"baseline": 0.5}, names=["one.png"])
    log = run / "logs" / "label_round" / ".00.log.unfinished"
    log.parent.mkdir()
    log.write_text(
        "10:00:00  error: of an earlier attempt\n--- another attempt\n10:00:01  label\n"
        "10:00:02  error: no image has a label\n  <sky> is unsure\nMost often: raise baseline.iterations\n"
    )
    main(["--run", str(run)])
    html = (run / "report" / "index.html").read_text()
    assert ">It stopped</span>" in html
    error = "no image has a label\n  &lt;sky&gt; is unsure\nMost often: raise baseline.iterations"
    assert f"label_round/00: {error}" in html
    assert "of an earlier attempt" not in html
    # What works at this moment has an unfinished log, too, but no error in it.
    log.write_text("10:00:01  label\n")
    main(["--run", str(run)])
    assert ">Not finished</span>" in (run / "report" / "index.html").read_text()


def test_what_a_reader_is_warned_of(tmp_path):
    found = verdict_of(
        tmp_path,
        findings=[("lower", "Final is lower."), ("alike", "The branches agree.")],
        notes=["1 of the test images is also a target image."],
        codes=("one", "two"),
    )
    tones = {note.text.split(" ")[0]: note.tone for note in found.warnings}
    assert tones["Final"] == tones["1"] == "warn"
    assert any("2 different versions of the code" in note.text for note in found.warnings)
    assert any(note.tone == "neutral" and note.text == "The branches agree." for note in found.warnings)


def test_a_folder_that_holds_no_run_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"found no settings/configuration.json, expected the folder of a run"
    ):
        read_run(tmp_path)


def test_a_run_that_has_only_begun_has_a_page(tmp_path):
    run = write_run(tmp_path, {}, names=["one.png"])
    for path in ("sample", "data", "report"):
        for file in (run / path).rglob("*"):
            if file.is_file():
                file.unlink()
    main(["--run", str(run)])
    assert "0 of 6 models are trained" in (run / "report" / "index.html").read_text()


# ------------------------------------------------------------------------------------ learning


def test_learning_has_a_part_for_everything_that_is_there(tmp_path):
    parts = {part.title: part for part in learning(read_run(write_run(tmp_path)))}
    assert [*parts] == [
        "Words",
        "mIoU along the chain",
        "Loss of each training",
        "Each class",
        "Thresholds",
        "Pixels kept",
        "Agreement",
        "Class shares",
        "Images exchanged",
        "Learning rate of each training",
    ]
    assert "A pseudo-label is a label that a model gives" in parts["Words"].text
    classes = parts["Each class"].table
    assert "The gain is that of the newest model" in parts["Each class"].text
    begun = {
        part.title: part for part in learning(read_run(write_run(tmp_path / "begun", {"baseline": 0.5})))
    }
    assert "gain" not in begun["Each class"].text
    assert classes.header == ["class", "gain", *GAINS]
    assert [cell.text for cell in classes.rows[0]] == [
        *("flat", "+6.0", "50.0", "52.0", "53.0", "54.0", "55.0", "56.0"),
    ]
    exchanged = parts["Images exchanged"].table
    assert exchanged.header == ["class", "cycle 0: b → a", "cycle 0: a → b"]
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in exchanged.rows}
    # Of two images drawn, one is chosen; `construction` has no pixel in it.
    assert rows["images"] == ["1", "1"]
    assert rows["of drawn"] == ["2", "2"]
    assert rows["flat"] == ["1", "1"]
    assert "construction" not in rows


def test_many_points_become_means_of_those_that_follow_each_other():
    x, y = thinned(list(range(300)), [float(i % 2) for i in range(300)])
    assert len(x) == 150
    assert x[:2] == [0.5, 2.5]
    assert {*y} == {0.5}
    assert thinned([1, 2], [3.0, 4.0]) == ([1, 2], [3, 4])


def test_charts_show_text_as_text_and_take_the_colours_of_the_page():
    svg = line_chart(
        [Series("a <b> & $x$", [0, 1], [1.0, None]), Series("c", [0], [2.0], 1)], "<title>", "mIoU"
    )
    assert svg.startswith('<svg role="img" aria-label="&lt;title&gt;"')
    assert "a &lt;b&gt; &amp; $x$</text>" in svg
    assert "<title>a &lt;b&gt; &amp; $x$, 0: 1.0</title>" in svg
    assert "<style" not in svg
    assert "font-family" not in svg
    colours = {*re.findall(r"(?:fill|stroke): ([^;\"]+)", svg)} - {"none"}
    assert colours <= {"var(--ink)", "var(--faint)", "var(--line)", "var(--series-0)", "var(--series-1)"}
    other = bar_chart(["x"], {"y": [1.0]}, "another", "%")
    ids = [re.findall(r'id="([^"]+)"', chart) for chart in (svg, other)]
    assert not {*ids[0]} & {*ids[1]}


# ------------------------------------------------------------------------------ cost and trust


def test_the_critical_path_is_the_chain_that_takes_longest():
    seconds = {BEFORE: 5.0, "baseline": 10.0, "a": 3.0, "b": 8.0, "final": 2.0}
    needs = {"baseline": [BEFORE], "a": ["baseline"], "b": ["baseline"], "final": ["a", "b"]}
    assert critical_path(seconds, needs, "final") == [BEFORE, "baseline", "b", "final"]
    assert critical_path(seconds | {"a": 9.0}, needs, "final") == [BEFORE, "baseline", "a", "final"]
    assert critical_path(seconds, needs, "baseline") == [BEFORE, "baseline"]


@pytest.mark.parametrize(
    ("rule", "about", "node"),
    [
        ("translate", "game", BEFORE),
        ("train", "self_training/01", "self_training/01"),
        ("predict", "baseline/subset/self_training/00/0", "self_training/00"),
        ("predict", "co_training/00/a/target/1", "final"),
        ("predict", "final/labelled/c/0", AFTER),
        ("predict", "self_training/00/accumulated/0", "self_training/00"),
        ("thresholds", "self_training/00/relabelled", "self_training/00"),
        ("thresholds", "ensemble/a", "final"),
        ("label_round", "01", "self_training/01"),
        ("exchange", "00", "co_training/00/a"),
        ("evaluate", "final/c", AFTER),
    ],
)
def test_which_model_a_job_is_on_the_way_to(rule, about, node):
    assert node_of(Job(rule, about, 1.0, 1.0, 1.0, 0.0), GAINS) == node


def test_only_settings_that_differ_from_the_defaults_are_listed():
    found = differences(resolve(configuration_of("x", True) | {"training": {"momentum": 0.5}}))
    assert found["training.momentum"] == (0.5, 0.9)
    assert found["label_space"] == ("cityscapes7", "cityscapes19")
    assert found["self_training.rounds"] == (2, 10)
    assert "seed" not in found
    assert not any(key.startswith("translation") for key in found)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(99, "99 s"), (100, "2 min"), (5940, "99 min"), (6060, "1 h 41 min"), (36000, "10 h 0 min")],
)
def test_time_in_words(seconds, text):
    assert in_words(seconds) == text


def test_a_run_without_a_gpu_has_no_gpu_hours(tmp_path):
    run = write_run(tmp_path, names=["one.png"])
    header, row = _trainings(run)
    # Two GPUs for a minute each.
    assert row[header.index("GPU hours")] == "0.03"
    assert row[header.index("device")] == "2\u00a0×\u00a0NVIDIA\u00a0H100"
    for path in (run / "models").rglob("training.json"):
        path.write_text(
            path.read_text().replace("NVIDIA H100", "x86_64").replace('"processes": 2', '"processes": 1')
        )
    header, row = _trainings(run)
    assert "GPU hours" not in header
    assert row[header.index("device")] == "CPU\u00a0(x86_64)"


def _trainings(run):
    [table] = [part.table for part in cost(read_run(run)) if part.title == "Trainings"]
    return list(table.header), [cell.text for cell in table.rows[0]]


# ------------------------------------------------------------------------------------ failures


def test_worst_confusions_and_their_examples():
    confusion = np.array([[8, 2, 0, 0], [30, 60, 0, 10], [0, 0, 0, 0]], np.int64)
    found = worst_confusions(confusion)
    assert [tuple(pair) for pair in found] == [(1, 0, 0.3, 30), (0, 1, 0.2, 2)]
    images = {"x": np.zeros((3, 4), np.int64), "y": np.zeros((3, 4), np.int64)}
    images["y"][1, 0] = 5
    assert example_of(found, images) == ["y", None]


def test_a_confusion_matrix_is_read_as_it_was_written(tmp_path):
    confusion = np.arange(6).reshape(2, 3)
    path = tmp_path / "confusion.tsv"
    write_confusion(path, confusion, ("road", "sky"))
    assert read_confusion(path, ("road", "sky")).tolist() == confusion.tolist()
    with pytest.raises(InputError, match=r"is no confusion matrix of the classes sky, road"):
        read_confusion(path, ("sky", "road"))
    path.write_text(path.read_text().replace("4", "four"))
    with pytest.raises(InputError, match=r"cannot be read as a confusion matrix"):
        read_confusion(path, ("road", "sky"))


# ---------------------------------------------------------------------------------------- look


def shown(run):
    pictures = Pictures(run / "report" / "page", SPACE, EgoVehicleMask(None))
    return {gallery.name: gallery for gallery in galleries(read_run(run), pictures, 1)}


def test_galleries_have_all_that_is_known_of_an_image(tmp_path):
    run = write_run(tmp_path)
    found = shown(run)
    assert [*found] == ["test", "target"]
    first, second = found["target"].images
    models = [layer for model in GAINS for layer in (model, f"{model}.confidence")]
    steps = [f"labels.{model}" for model in GAINS if "/" in model]
    # Only the first photo was chosen for pseudo-labels.
    assert first["has"] == ["photo", *models, *steps]
    assert second["has"] == ["photo", *models]
    assert found["test"].images[0]["has"][:2] == ["photo", "truth"]
    for gallery in found.values():
        for image in gallery.images:
            for layer in gallery.layers:
                if layer.key in image["has"]:
                    suffix = ".jpg" if layer.kind in ("photo", "confidence") else ".png"
                    path = run / "report" / "page" / image["place"] / (layer.key.replace("/", ".") + suffix)
                    assert read_image(path).shape == (48, 64, 3)
    values = found["test"].values
    assert all(len(column) == 2 for column in values.values())
    expected = [
        last - base for last, base in zip(values["mIoU of final"], values["mIoU of baseline"], strict=True)
    ]
    assert values["gain of final over the baseline"] == pytest.approx(expected, abs=2e-4)


def test_pictures_are_made_once_and_old_ones_go(tmp_path):
    run = write_run(tmp_path)
    main(["--run", str(run)])
    folder = run / "report" / "page"
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert len(times) > 40
    (folder / "old.jpg").write_bytes(b"of an image that is gone")
    # A power cut may leave an empty file.
    torn = next(path for path in times if path.name == "photo.jpg")
    torn.write_bytes(b"")
    main(["--run", str(run)])
    assert torn.stat().st_size > 0
    again = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert again.keys() == times.keys()
    assert {path for path in times if times[path] != again[path]} == {torn, torn.with_name("thumb.jpg")}


def test_pictures_fit_into_their_room():
    sizes = []

    def encoded(height, width):
        sizes.append((height, width))
        return b"x" * (height * width)

    # A pixel is taken to need 0.2 bytes, and needs one.
    content = within((1000, 2000), "photo", 50_000, encoded)
    assert len(content) <= 50_000
    assert sizes[0] == (354, 707)
    assert len(sizes) == 2
    assert sizes[1][0] / sizes[1][1] == pytest.approx(0.5, abs=0.01)
    assert scaled_size((1024, 4096), 1e9) == (512, 2048)
    assert scaled_size((10, 10), 1e9) == (10, 10)
    layers = [Layer(kind, kind, kind) for kind in ("photo", "classes", "error", "confidence")]
    assert Room.of(10, layers) == (2.6e6, 1e6, 6e5)


def test_the_viewer_begins_with_the_final_model_not_with_the_upper_bound(tmp_path):
    found = shown(write_run(tmp_path, GAINS | {"upper_bound": 0.9}))
    assert found["test"].start == ("truth", "final")
    assert found["target"].start == ("photo", "final")
    assert "gain of final over the baseline" in found["test"].values
    assert any(layer.key == "upper_bound.error" for layer in found["test"].layers)


def test_iou_of_one_image():
    # 6 right of 6 + 2 + 2; a class that is nowhere has none.
    assert iou_of(np.array([[6, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]], np.int64)) == [0.6, 0.0, None]


# --------------------------------------------------------------------------------------- render


def test_nothing_from_data_ends_a_script_or_becomes_an_element(tmp_path):
    text = as_script({"name": "</script><b>&\u2028"})
    assert not {*"<>&\u2028"} & {*text}
    assert json.loads(text) == {"name": "</script><b>&\u2028"}
    run = write_run(tmp_path, names=["<img src=x>.png"], findings=[("lower", "<script>alert(1)</script>")])
    main(["--run", str(run)])
    html = (run / "report" / "index.html").read_text()
    assert "<script>alert" not in html
    assert "<img src=x>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert str(tmp_path) in html
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]+"', "", html)


def test_commands_have_the_paths_of_the_run(tmp_path):
    run = write_run(tmp_path)
    main(["--run", str(run), "--output", str(tmp_path / "elsewhere" / "page.html")])
    html = (tmp_path / "elsewhere" / "page.html").read_text()
    assert f"--model {run}/models/{FINAL}" in html
    assert f"snakemake upper_bound --configfile {run}/settings/configuration.json" in html
    assert not (run / "report" / "index.html").exists()
    assert (tmp_path / "elsewhere" / "page").is_dir()


def test_cells_of_numbers():
    assert Cell.number(None, 1).text == "–"
    assert Cell.change(-0.6)[:2] == ("−0.6", -0.6)
    assert [Cell.change(value).tone for value in (-0.6, -0.4, 0.4, 0.6)] == ["bad", "", "", "good"]
