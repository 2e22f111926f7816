"""The page of a run: what each section says, with numbers worked out by hand."""

import json
import os
import re
from itertools import pairwise

import numpy as np
import pytest

from cotrain.configuration.names import FINAL
from cotrain.configuration.reading import resolve
from cotrain.data.files import write_json, write_text
from cotrain.data.images import read_image, write_image, write_label
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.errors import InputError
from cotrain.evaluation.scores import read_confusion, write_confusion
from cotrain.reporting.page.charts import (
    LINE,
    MOST_VALUES,
    SERIES,
    TEXT_SIZE,
    Series,
    Span,
    bar_chart,
    line_chart,
    small_multiples,
    time_line,
)
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
from cotrain.reporting.page.data import batches, class_shares, datasets
from cotrain.reporting.page.failures import example_of, worst_confusions
from cotrain.reporting.page.learning import learning, place_names, thinned
from cotrain.reporting.page.look import Layer, Pictures, Room, galleries, iou_of, scaled_size, within
from cotrain.reporting.page.records import Job, TrainingFacts, read_jobs, read_run
from cotrain.reporting.page.render import as_script
from cotrain.reporting.page.tables import Cell
from cotrain.reporting.page.verdict import best_model, verdict
from cotrain.training.record import RecordedSettings
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
        (0.544, "warn", "It worked in part", "An earlier model is better: co_training/00/b (55.0\u00a0%)."),
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
        (
            "a",
            {"mean_iou": GAINS | {"final": 0.4}, "findings": lower},
            "change what the first message above says",
        ),
        # A hint names no key that would help.
        ("b", {"mean_iou": GAINS | {"final": 0.4}, "findings": [("alike", "Alike.")]}, "under Learning"),
        ("c", {"test": False}, "label some photos of the camera"),
    ):
        notes = verdict_of(tmp_path / name, **options).warnings
        [following] = [note.text for note in notes if note.text.startswith("What next")]
        assert text in following
    assert not any("What next" in note.text for note in verdict_of(tmp_path / "d", {}).warnings)


def test_a_run_that_went_wrong_names_trainings_that_are_too_short(tmp_path):
    run = write_run(tmp_path, GAINS | {"final": 0.54}, names=["one.png"], findings=[("lower", "Lower.")])
    path = run / "settings" / "configuration.json"
    content = json.loads(path.read_text())
    content["final"]["iterations"] = 40
    content["training"]["warmup_iterations"] = 4
    write_json(path, content)
    short, lower, *_, following = verdict(read_run(run)).warnings
    assert short.tone == "warn"
    assert short.text.startswith("A setting looks unintended: final.iterations is 40")
    assert lower.text == "Lower."
    assert "use co_training/00/b, for which Next has the command, or change what the first" in following.text
    run = write_run(tmp_path / "good", names=["one.png"])
    write_json(run / "settings" / "configuration.json", content)
    assert not any("unintended" in note.text for note in verdict(read_run(run)).warnings)


def test_a_gain_that_leaves_a_model_without_use_is_not_called_good(tmp_path):
    found = verdict_of(tmp_path, {model: value / 4 for model, value in GAINS.items()})
    assert (found.tone, found.word) == ("warn", "Hardly of use")
    assert found.sentence.endswith("With so low a score, the model is hardly of use.")
    # 28 %.
    twice = verdict_of(tmp_path / "twice", {model: value / 2 for model, value in GAINS.items()})
    assert (twice.tone, twice.word) == ("good", "It worked")
    # 14 % in each of seven classes.
    classes = ("flat", "construction", "object", "nature")
    weak = f"The final model hardly finds {', '.join(f'{name} (14.0 %)' for name in classes)} and 3 more"
    assert any(note.tone == "warn" and note.text.startswith(weak) for note in found.warnings)


def test_a_collapsed_run_did_not_work(tmp_path):
    finding = ("collapsed", "Self_training/00 has collapsed: 97.0 % of the target is sky to it.")
    found = verdict_of(tmp_path, GAINS | {"final": 0.1}, findings=[finding])
    assert (found.tone, found.word) == ("bad", "It did not work")
    assert found.warnings[0] == ("bad", finding[1])
    # What follows from it is not said.
    starved = ("starved", "The labels are starved of sky.")
    found = verdict_of(tmp_path / "gain", GAINS | {"baseline": 0.05}, findings=[finding, starved])
    assert (found.tone, found.word) == ("bad", "It did not work")
    assert found.sentence.endswith("The baseline is of no use, so the gain says nothing.")
    assert {number.tone for number in found.numbers} == {"neutral"}
    assert [note.tone for note in found.warnings] == ["bad", "neutral", "neutral"]
    assert "change what the first message above says" in found.warnings[-1].text
    found = verdict_of(tmp_path / "part", findings=[finding])
    assert (found.tone, found.word) == ("warn", "It worked in part")
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


def test_gains_and_losses_have_their_tones(tmp_path):
    found = verdict_of(tmp_path, GAINS | {"self_training/01": 0.48, "final": 0.503})
    # 0.3 points are a tie.
    assert [number.tone for number in found.numbers] == ["neutral", "bad", "good", "neutral"]


def test_a_reader_is_told_of_few_test_images_and_of_classes_that_went(tmp_path):
    run = write_run(tmp_path, names=["one.png"])
    path = run / "models" / "final" / "training.json"
    write_json(path, json.loads(path.read_text()) | {"vanished_classes": ["sky", "human"]})
    for path in (run / "evaluation").rglob("scores.json"):
        write_json(path, json.loads(path.read_text()) | {"images": 7})
    health = run / "report" / "health.json"
    content = json.loads(health.read_text())
    content["models"]["final"] |= {"missing_classes": ["sky"], "agreement_with_before": None}
    write_json(health, content)
    notes = {note.text: note.tone for note in verdict(read_run(run)).warnings}
    text = "Near the end of its training, final no longer predicted sky, human, which its labels hold."
    assert notes[text] == "warn"
    text = "There are only 7 test images, so small differences between models say little."
    assert notes[text] == "neutral"
    # Once health has found it, it is not said twice.
    write_json(health, content | {"findings": [{"kind": "vanished", "text": "Sky is gone."}]})
    texts = [note.text for note in verdict(read_run(run)).warnings]
    assert "Sky is gone." in texts
    assert not any(text.startswith("Near the end") for text in texts)
    for path in (run / "evaluation").rglob("scores.json"):
        path.unlink()
    numbers = {number.name: number for number in verdict(read_run(run)).numbers}
    assert numbers["Same as before"].value == "–"
    assert numbers["Missing classes"][1:] == ("1", "of 7 that the source shows: sky", "warn")


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


def test_the_confusions_of_the_baseline_and_of_the_newest_model_are_shown_first(tmp_path):
    run = write_run(tmp_path, GAINS | {"upper_bound": 0.7}, names=["one.png"])
    main(["--run", str(run)])
    text = (run / "report" / "index.html").read_text()
    assert re.findall(r"<option selected>([^<]+)</option>", text) == ["baseline", "final"]
    assert text.count("<option>upper_bound</option>") == 2


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


def test_what_the_charts_of_learning_show(tmp_path, figures):
    parts = {
        part.title: part for part in learning(read_run(write_run(tmp_path, GAINS | {"upper_bound": 0.62})))
    }
    # Branch a goes on from round 0, branch b from round 1, and the final model is joined to the better one.
    chain = [
        *(("baseline and self-training", "baseline", 50), ("baseline and self-training", "round 0", 52)),
        *(("baseline and self-training", "round 1", 53), ("branch a", "round 0", 52)),
        *(("branch a", "cycle 0", 54), ("branch b", "round 1", 53), ("branch b", "cycle 0", 55)),
        *(("final", "cycle 0", 55), ("final", "final", 56)),
    ]
    assert tips(parts["mIoU along the chain"].chart) == [
        f"{line}, {place}: {value}.0" for line, place, value in chain
    ]
    bound = next(line for line in figures[0].axes[0].lines if line.get_label() == "upper bound")
    assert (list(bound.get_xdata()), bound.is_dashed()) == ([0, 4], True)
    assert bound.get_ydata() == pytest.approx([62, 62], abs=0.01)
    assert tips(parts["Each class"].chart) == [
        f"{name}, {place}: {value}.0" for name in SPACE.classes for _, place, value in chain
    ]
    heats = [cell.heat for cell in parts["Each class"].table.rows[0][2:]]
    assert heats == pytest.approx([0.5, 0.52, 0.53, 0.54, 0.55, 0.56, 0.62], abs=1e-4)
    # No value of the baseline, which learns from no pseudo-label.
    kept = {"round 0": 51, "round 1": 52, "final": 55}
    found = tips(parts["Pixels kept"].chart)
    assert [tip for tip in found if tip.startswith("baseline")] == [
        f"baseline and self-training, {place}: {kept[place]}.0" for place in ("round 0", "round 1")
    ]
    assert found[-1] == "final, final: 55.0"
    assert tips(parts["Agreement"].chart)[-2:] == [
        "final, final: 90.0",
        "both branches of a cycle, cycle 0: 95.0",
    ]
    # A threshold of 50 000 of 65 535.
    assert [cell.text for cell in parts["Thresholds"].table.rows[0]] == ["flat", *["0.763"] * 4]
    exchanged = {row[0].text: [cell.heat for cell in row[1:]] for row in parts["Images exchanged"].table.rows}
    assert exchanged["flat"] == [1, 1]
    shares = tips(parts["Class shares"].chart)
    assert (shares[0], shares[-1]) == ("flat, source: 14.3", "vehicle, predictions of final: 14.3")
    # The upper bound learns from no pseudo-label, and is no model of the chain.
    assert "flat, pseudo-labels of final: 14.3" in shares
    assert not any("upper_bound" in share for share in shares)
    # Each model for the loss, each stage for the learning rate, which is the same in all of its models.
    for figure, name, first in ((figures[1], "loss", 2.0), (figures[-1], "learning rate", 0.1)):
        [axes] = figure.axes
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("iteration", name)
        for line in axes.lines:
            assert line.get_xdata().tolist() == [20, 40, 60, 80, 100]
            assert line.get_ydata() == pytest.approx([first / i for i in range(1, 6)])
    assert legend_of(figures[1]) == [*GAINS, "upper_bound"]
    assert legend_of(figures[-1]) == ["baseline", "self_training", "co_training", "final", "upper_bound"]


def test_how_right_the_pseudo_labels_are(tmp_path):
    run = write_run(tmp_path, {}, names=["one.png"])
    steps = {
        name: {
            "precision": precision,
            "coverage": 0.5,
            "classes": {"flat": {"precision": precision, "coverage": 0.25}},
        }
        for name, precision in (("self_training/00", 0.875), ("co_training/00/a", None))
    }
    write_json(run / "oracle" / "b" / "oracle.json", {"steps": steps})
    [part] = [part for part in learning(read_run(run)) if part.title == "How right the pseudo-labels are"]
    assert tips(part.chart) == [
        *("precision, self 00: 87.5", "coverage, self 00: 50.0", "coverage, co 00 a: 50.0")
    ]
    assert part.table.header == ["class", *steps]
    assert [[(cell.text, cell.heat) for cell in row] for row in part.table.rows] == [
        [("flat", None), ("87.5", 0.875), ("–", None)]
    ]


def test_names_of_places_become_short_where_there_are_many():
    rounds = [f"self_training/{number:02d}" for number in range(6)]
    models = ["baseline", *rounds, "final", "upper_bound"]
    places, names = place_names(models)
    assert places == {model: place for place, model in enumerate(models[:-1])} | {"upper_bound": -1}
    assert names == {0: "baseline", 7: "final"} | {place + 1: f"round\n{place}" for place in range(6)}
    _, names = place_names(["baseline", *rounds, "co_training/00/a", "co_training/00/b", "final"])
    assert names == {0: "base", 7: "c0", 8: "final"} | {place + 1: f"r{place}" for place in range(6)}


def tips(svg):
    """Return the tips of a chart, in the order in which their points and bars are drawn."""
    return re.findall(r"<title>(.*?)</title>", svg)


def texts(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_points_of_lines_and_the_values_beside_them(figures):
    svg = line_chart(
        [
            Series("a", [0, 1, 2], [1.0, None, 3.25]),
            Series("b", [0, 2], [2.0, 2.5], 1),
            Series("c", [0, 2], [1.5, 3.0], 2),
            Series("limit", [0, 2], [9.0, 9.0], 3, "", dashed=True),
        ],
        "title",
        "share",
        "place",
        ticks={0: "first\nmodel", 1: "second", 2: "third"},
        decimals=2,
        with_values=True,
    )
    # None where there is no value, and none on a line without markers.
    assert tips(svg) == [
        *("a, first model: 1.00", "a, third: 3.25", "b, first model: 2.00", "b, third: 2.50"),
        *("c, first model: 1.50", "c, third: 3.00"),
    ]
    [axes] = figures[0].axes
    # The highest and the lowest of each place.
    assert [text.get_text() for text in axes.texts] == ["2.00", "1.00", "3.25", "2.50"]
    assert legend_of(figures[0]) == ["a", "b", "c", "limit"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("place", "share")
    assert {"first", "model", "second", "third"} <= {*texts(svg)}
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert lines["a"].get_ydata().tolist() == pytest.approx([1.0, np.nan, 3.25], nan_ok=True)
    assert [line.is_dashed() for line in lines.values()] == [False, False, False, True]
    assert [line.get_color() for line in lines.values()] == list(SERIES[:4])


def test_a_line_alone_needs_no_legend_and_an_axis_without_names_has_numbers(figures):
    svg = line_chart([Series("a", [0.5, 1000], [1.0, 2.0])], "title", "loss", with_values=True)
    assert tips(svg) == ["a, 0.5: 1.0", "a, 1000: 2.0"]
    [axes] = figures[0].axes
    assert legend_of(figures[0]) == []
    assert [text.get_text() for text in axes.texts] == ["1.0", "2.0"]


@pytest.mark.parametrize(("places", "values"), [(MOST_VALUES, MOST_VALUES), (MOST_VALUES + 1, 0)])
def test_values_are_written_up_to_a_number_of_places(figures, places, values):
    x = list(range(places))
    names = {float(place): str(place) for place in x}
    svg = line_chart([Series("a", x, [float(y) for y in x])], "title", "y", ticks=names, with_values=True)
    assert len(figures[0].axes[0].texts) == values
    assert len(tips(svg)) == places


def test_bars_of_groups(figures):
    groups = {"one": [1.0, 4.0], "two": [3.0, 0.0]}
    svg = bar_chart(["road", "sky & <b>"], groups, "title", "share (%)")
    assert tips(svg) == [
        *(
            "road, one: 1.0",
            "sky &amp; &lt;b&gt;, one: 4.0",
            "road, two: 3.0",
            "sky &amp; &lt;b&gt;, two: 0.0",
        )
    ]
    [axes] = figures[0].axes
    assert axes.get_xlabel() == "share (%)"
    assert legend_of(figures[0]) == ["one", "two"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["road", "sky & <b>"]
    boxes = [[bar.get_window_extent() for bar in bars] for bars in axes.containers]
    lengths = np.array([[box.width for box in row] for row in boxes])
    assert (lengths / lengths[0, 0]).round(3).tolist() == [[1, 4], [3, 0]]
    # From the top: both bars of the road, then both of the sky, and none over another.
    tops = [boxes[group][name] for name in (0, 1) for group in (0, 1)]
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(tops))
    # The name stands at the middle of its bars.
    middles = np.mean([[bar.get_y() + bar.get_height() / 2 for bar in bars] for bars in axes.containers], 0)
    assert middles.tolist() == pytest.approx([0, 1])
    # 96 pixels for each of 5.4 inches.
    assert "max-width: 518px; min-width: 441px" in svg
    bar_chart(["road"], {"one": [1.0]}, "title", "share (%)")
    assert legend_of(figures[1]) == []


def test_jobs_along_the_time(figures):
    spans = [Span(0, 0.0, 3.0, 2, "first: 3 min"), Span(1, 3.0, 1.0, 4, "second: <1> min")]
    svg = time_line(["train", "predict"], spans, "title", "minutes")
    assert tips(svg) == ["first: 3 min", "second: &lt;1&gt; min"]
    [axes] = figures[0].axes
    assert axes.get_xlabel() == "minutes"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["train", "predict"]
    first, second = (bar.get_window_extent() for bars in axes.containers for bar in bars)
    assert first.width == pytest.approx(3 * second.width)
    assert second.x0 == pytest.approx(first.x1)
    assert first.y0 > second.y1
    assert [f"var(--series-{number})" in svg for number in range(6)] == [False] * 2 + [True, False] * 2


def test_a_small_chart_for_each_class(figures):
    lines = [Series("a", [0, 1, 2], [10.0, None, 30.04]), Series("b", [0, 2], [5.0, 6.0], 1, "", dashed=True)]
    panels = {"road": lines, **{f"${number}$": [Series("a", [7], [1.0], 2)] for number in range(3)}}
    svg = small_multiples(panels, "title", {0: "first\nmodel"}, columns=3)
    assert tips(svg) == [
        *("road, first model: 10.0", "road, 2: 30.0"),
        *(f"${number}$, 7: 1.0" for number in range(3)),
    ]
    road, *others = figures[0].axes
    assert [axes.get_title("left") for axes in figures[0].axes] == ["road", r"\$0\$", r"\$1\$", r"\$2\$"]
    whole, dashed = (line for line in road.lines if len(line.get_xdata()) > 1)
    assert whole.get_ydata().tolist() == pytest.approx([10.0, np.nan, 30.04], nan_ok=True)
    assert dashed.get_ydata().tolist() == [5.0, 6.0]
    assert (whole.is_dashed(), dashed.is_dashed()) == (False, True)
    assert [whole.get_color(), dashed.get_color()] == list(SERIES[:2])
    # Three in the first row, the fourth below the first.
    boxes = [axes.get_position() for axes in figures[0].axes]
    assert boxes[0].y0 == boxes[1].y0 == boxes[2].y0 > boxes[3].y1
    assert boxes[0].x1 <= boxes[1].x0
    assert boxes[0].x0 == boxes[3].x0
    assert all(axes.lines[0].get_color() == SERIES[2] for axes in others)


def test_all_charts_of_a_page_look_alike_and_cut_nothing_off(tmp_path, figures):
    from matplotlib.text import Text

    run = write_run(tmp_path, GAINS | {"upper_bound": 0.7})
    records = read_run(run)
    charts = [part.chart for part in (*learning(records), *cost(records)) if part.chart]
    assert len(charts) == len(figures) == 8
    for figure in figures:
        sizes = {text.get_size() for text in figure.findobj(Text) if text.get_visible() and text.get_text()}
        assert sizes <= {TEXT_SIZE, TEXT_SIZE - 1}
        for axes in figure.axes:
            lines = [line for line in (*axes.get_xgridlines(), *axes.get_ygridlines()) if line.get_visible()]
            assert {line.get_color() for line in lines} == {LINE}
            assert axes.get_xlabel() or axes.get_ylabel() or axes.get_title("left")
    # All colours are the page's, and all texts are texts.
    for svg in charts:
        assert {*re.findall(r"(?:fill|stroke): ([^;\"]+)", svg)} <= {
            *("none", "var(--ink)", "var(--faint)", "var(--line)"),
            *(f"var(--series-{number})" for number in range(8)),
        }
        assert texts(svg)


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
        ("check_data", "game/labelled", BEFORE),
        ("class_priors", "", BEFORE),
        ("hold_out", "game", BEFORE),
        ("calibrate", "baseline", "baseline"),
        ("train", "upper_bound", AFTER),
        ("join_ensemble", "", "final"),
        ("relabel", "self_training/01", "self_training/01"),
        # Of a model that others wait for, but no job that they wait for.
        ("model_card", "self_training/00", AFTER),
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


def test_what_a_run_took(tmp_path, figures):
    run = write_run(tmp_path)
    # Rule and about, seconds, MiB, end: a gap of 40 s before the first training, and two at the same time.
    for name, seconds, memory, end in (
        ("render_scenes/a", 30, 500, 1030),
        ("train/baseline", 60, 1500, 1130),
        ("train/self_training/00", 120, 3072, 1250),
        ("train/self_training/01", 60, 1500, 1310),
        ("train/co_training/00/a", 90, 1500, 1400),
        ("train/co_training/00/b", 60, 1500, 1400),
        ("train/final", 60, 1500, 1500),
        ("check_device", 0.5, 100, 1420),
        ("page", 70, 9000, 1700),
    ):
        path = run / "logs" / f"{name}.tsv"
        write_text(path, f"s\tmax_rss\tcpu_time\n{seconds}\t{memory}\t{2 * seconds}\n")
        os.utime(path, (end, end))
    parts = {part.title: part for part in cost(read_run(run))}
    assert [[cell.text for cell in row[:2]] for row in parts["Time and memory"].table.rows] == [
        # 500 s; 480.5 s, twice that of processors; six trainings of 60 s on two GPUs.
        *(["From the first job to the last", "8 min"], ["All jobs together", "8 min"]),
        *(["Processor time", "16 min"], ["GPU hours of trainings", "0.20"]),
        # 30.5 + 60 + 120 + 60 + 90 + 60 s.
        *(["Largest memory of a job", "3.0 GiB"], ["Critical path", "7 min"]),
    ]
    path = "data → baseline → self_training/00 → self_training/01 → co_training/00/a → final: "
    assert parts["Time and memory"].table.rows[-1][2].text.startswith(path)
    assert [[cell.text for cell in row] for row in parts["Steps"].table.rows] == [
        ["train", "6", "8 min", "2 min", "3072"],
        ["page", "1", "70 s", "70 s", "9000"],
        ["render_scenes", "1", "30 s", "30 s", "500"],
        ["check_device", "1", "0 s", "0 s", "100"],
    ]
    assert [cell.text for cell in parts["Trainings"].table.rows[1]] == [
        *("self_training/00", "100", "10", "8", "60 s", "2\u00a0×\u00a0NVIDIA\u00a0H100", "0.03", "1000", "0")
    ]
    [axes] = figures[0].axes
    assert axes.get_xlabel() == "minutes since the first job"
    # Data, then trainings in two rows; what takes half a second of 500 is left out.
    assert [label.get_text() for label in axes.get_yticklabels()] == ["data", "training", ""]
    bars = [bar for bars in axes.containers for bar in bars]
    spans = [(round(bar.get_y() + 0.35), 60 * bar.get_x(), 60 * bar.get_width()) for bar in bars]
    assert [tuple(map(round, span)) for span in spans] == [
        *((0, 0, 30), (1, 70, 60), (1, 130, 120), (1, 250, 60), (1, 310, 90), (2, 340, 60), (1, 440, 60)),
    ]


def test_what_the_results_rest_on(tmp_path):
    run = write_run(tmp_path, codes=("0123456789abcdef", "fedcba9876543210"))
    parts = {
        part.title: [[cell.text for cell in row] for row in part.table.rows]
        for part in cost(read_run(run))
        if part.table
    }
    settings = {key: (value, default) for key, value, default in parts["Settings"]}
    assert settings["label_space"] == ("cityscapes7", "cityscapes19")
    assert settings["self_training.rounds"] == ("2", "10")
    assert settings["source"] == ('["a"]', "")
    # Of a dataset all keys are shown, whether they are given or not.
    assert settings["datasets.c.look"] == ("camera", "")
    assert settings["datasets.c.width"] == ("1280", "")
    assert "training.momentum" not in settings
    rest = dict(parts["What the results rest on"])
    assert (rest["seed of the run"], rest["torch"]) == ("100", "2.15")
    assert rest["scored on"] == "c, 40 images; flip: false"
    assert parts["Data hashes"] == [[model, "results/a_run/some.tsv", "0" * 16] for model in GAINS]


@pytest.mark.parametrize(
    ("device", "seconds"), [("cpu", 0), ("", 0), ("aarch64", 0), ("NVIDIA H100", 150), ("mps", 150)]
)
def test_seconds_of_gpus(device, seconds):
    training = TrainingFacts("x", RecordedSettings(1), seconds=50.0, processes=3, device=device)
    assert training.gpu_seconds == seconds


def test_what_jobs_took(tmp_path):
    header = "s\th:m:s\tmax_rss\tcpu_time\n"
    for name, text in {
        "train/co_training/00/a": f"{header}60.5\t0:01:00\t1500.25\t100\n",
        # Too short to be measured.
        "report": f"{header}1.5\t0:00:01\t-\tNA\n",
        "render": f"{header}-\t-\t-\t-\n",
        "translate/game": header,
        "page": "",
    }.items():
        write_text(tmp_path / "logs" / f"{name}.tsv", text)
    write_text(tmp_path / "logs" / "train" / "co_training" / "00" / "a.log", "hello\n")
    for name, end in (("train/co_training/00/a", 1000), ("report", 900)):
        os.utime(tmp_path / "logs" / f"{name}.tsv", (end, end))
    assert read_jobs(tmp_path / "logs") == [
        Job("report", "", 1.5, 0.0, 0.0, 900.0),
        Job("train", "co_training/00/a", 60.5, 100.0, 1500.25, 1000.0),
    ]


# ---------------------------------------------------------------------------------------- data


def test_what_a_run_was_made_from(tmp_path):
    run = write_run(tmp_path)
    sheet = np.zeros((2000, 1600, 3), np.uint8)
    write_image(run / "data" / "b" / "contact_sheet.png", sheet)
    write_image(run / "models" / "self_training" / "00" / "batches.png", sheet[:100])
    path = run / "data" / "a" / "labelled.check.json"
    report = json.loads(path.read_text())
    sizes = {"64x48": 1, "10x20": 5, "8x8": 4, "9x9": 2, "7x7": 3}
    write_json(path, report | {"images": 15, "sizes": sizes, "warnings": ["Is dark."]})
    (run / "data" / "c" / "labelled.check.json").unlink()
    records = read_run(run)
    pictures = Pictures(run / "report" / "page", SPACE, EgoVehicleMask(None))
    assert [tuple(dataset) for dataset in datasets(records, pictures)] == [
        # The most frequent first.
        (
            "a",
            "source",
            "15 images; 10 × 20 (5), 8 × 8 (4), 7 × 7 (3), 9 × 9 (2) and 1 more sizes",
            ["Is dark."],
            "",
        ),
        ("b", "target", "2 images; 64 × 48 (2)", [], "sheets/b.jpg"),
        ("c", "test", "not checked yet", [], ""),
    ]
    # 2.5 of 3.2 million pixels.
    assert read_image(run / "report" / "page" / "sheets" / "b.jpg").shape == (1768, 1414, 3)
    assert [tuple(sheet) for sheet in batches(records, pictures)] == [
        ("self_training/00", "sheets/batches.self_training.00.jpg")
    ]
    assert (run / "report" / "page" / "sheets" / "batches.self_training.00.jpg").is_file()


def test_shares_of_classes_in_labels(tmp_path):
    run = write_run(tmp_path)
    path = run / "data" / "c" / "labelled.check.json"
    report = json.loads(path.read_text())
    report["classes"] = {"flat": {"pixels": 3, "share": 0.125, "images": 1}}
    write_json(path, report)
    grid = class_shares(read_run(run))
    # The labels of the target are not read.
    assert grid.header == ["class", "a", "c"]
    assert [[cell.text for cell in row] for row in grid.rows[:2]] == [
        ["flat", "14.29", "12.50"],
        [SPACE.classes[1], "14.29", "–"],
    ]
    for name in "ac":
        (run / "data" / name / "labelled.check.json").unlink()
    assert class_shares(read_run(run)) is None


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
    # A step that chose none of the photos has no layer.
    others = [Item("another", tmp_path / "another.png", 64, 48)]
    write_manifest(run / "pseudo_labels" / "self_training" / "01" / "selected.tsv", others)
    found = shown(run)
    assert [*found] == ["test", "target"]
    first, second = found["target"].images
    models = [layer for model in GAINS for layer in (model, f"{model}.confidence")]
    steps = [f"labels.{model}" for model in GAINS if "/" in model and model != "self_training/01"]
    assert [layer.key for layer in found["target"].layers if layer.key.startswith("labels")] == steps
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


def test_all_images_of_a_page_share_its_room(tmp_path, monkeypatch):
    counted = []
    of = Room.of

    def seen(images, layers):
        counted.append(images)
        return of(images, layers)

    monkeypatch.setattr(Room, "of", seen)
    run = write_run(tmp_path, {"baseline": 0.5}, names=["1.png", "2.png", "3.png"])
    items = read_manifest(run / "sample" / "labelled" / "c.tsv")
    write_manifest(run / "data" / "a" / "train_ids.tsv", items)
    assert [*shown(run)] == ["test", "target", "source"]
    # Three test images, three photos, and up to twelve of the source.
    assert counted == [18] * 3


def test_images_of_the_source_before_and_after_their_translation(tmp_path):
    run = write_run(tmp_path)
    items, copies = [], []
    for number in range(3):
        image, label, copy = (tmp_path / "game" / f"{kind}{number}.png" for kind in ("i", "l", "c"))
        for path, shade in ((image, 100), (copy, 200)):
            write_image(path, np.full((48, 64, 3), shade, np.uint8))
        items.append(Item(f"{number}", image, 64, 48, label if number else None))
        copies.append(Item(f"{number}_0", copy, 64, 48))
        write_label(label, np.ones((48, 64), np.uint8), SPACE.palette)
    write_manifest(run / "data" / "a" / "train_ids.tsv", items)
    write_manifest(run / "translated" / "a" / "manifest.tsv", copies[:2])
    found = shown(run)["source"]
    assert [layer.key for layer in found.layers] == ["photo", "translated", "truth"]
    assert found.start == ("photo", "translated")
    assert [(entry["id"], entry["has"]) for entry in found.images] == [
        ("0", ["photo", "translated"]),
        ("1", ["photo", "translated", "truth"]),
        ("2", ["photo", "truth"]),
    ]
    place = run / "report" / "page" / found.images[1]["place"]
    assert abs(read_image(place / "photo.jpg").mean() - 100) < 2
    assert abs(read_image(place / "translated.jpg").mean() - 200) < 2
    assert (read_image(place / "truth.png") == SPACE.palette[1]).all()
    (run / "translated" / "a" / "manifest.tsv").unlink()
    assert [layer.key for layer in shown(run)["source"].layers] == ["photo", "truth"]


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
    # One that fits exactly is not made smaller.
    del sizes[:]
    assert len(within((50, 100), "photo", 5000, encoded)) == 5000
    assert sizes == [(50, 100)]
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
