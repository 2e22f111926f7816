import json
import re
from pathlib import Path

import numpy as np
import pytest

from cotrain.data.files import write_json, write_text
from cotrain.data.manifests import Item, write_manifest
from cotrain.errors import InputError
from cotrain.evaluation.scores import scores
from workflow_scripts.compare import main, names_of


@pytest.fixture
def write_run(tmp_path, monkeypatch):
    """Return a function that writes the folder of a run, whose models have this many correct pixels of 10."""
    monkeypatch.chdir(tmp_path)

    def write(name, seed, correct, label="ab" * 32, **settings):
        folder = tmp_path / "results" / name
        write_json(
            folder / "settings" / "configuration.json",
            {"run": name, "seed": seed, "test": "camera_test"} | settings,
        )
        for model, number in correct.items():
            write_text(folder / "models" / model / "weights.safetensors", "")
            record = {"settings": {"iterations": 1}, "images": {"source": 1, "target": 0}, "seconds": 30.0}
            write_json(folder / "models" / model / "training.json", record)
            # Of one class; what is missed is void.
            confusion = np.array([[number, 10 - number]], np.int64)
            write_json(
                folder / "evaluation" / model / "camera_test" / "scores.json",
                {"images": 1, "protocol": {}, **scores(confusion, ("road",))},
            )
        items = [Item("x", tmp_path / "x.png", 5, 2, tmp_path / "x.label.png", label)]
        write_manifest(folder / "data" / "camera_test" / "train_ids.tsv", items)
        return str(folder)

    return write


def test_folders_of_runs_become_tables(write_run, tmp_path, capsys):
    correct = [
        {"baseline": 3, "self_training/00": 4, "co_training/00/b": 5, "final": number} for number in (6, 8)
    ]
    runs = [
        write_run("first_1", 1, correct[0]),
        write_run("first_2", 2, correct[1]),
        write_run("second_2", 2, {"baseline": 4, "final": 7}, training={"batch_size": 8}),
    ]
    write_json(
        tmp_path / "results" / "second_2" / "report" / "health.json",
        {
            **{"outcome": "Gains.", "findings": [{"kind": "missing", "text": "…"}]},
            **{"images": 1, "source": {}, "models": {}},
        },
    )
    write_text(tmp_path / "results" / "first_2" / "report" / "index.html", "<p>")
    main([*runs, "--output", "out"])
    page = (tmp_path / "out" / "index.html").read_text()
    assert 'href="../results/first_2/report/index.html"' in page
    assert "No clear difference" in page
    # IoU of 60 and 80 %: mean 70, deviation 14.14.
    assert (tmp_path / "out" / "scores.tsv").read_text().splitlines() == [
        "mIoU (%)\tfirst_1 (×2)\tsecond_2",
        "baseline\t30.00 ± 0.00\t40.00",
        "self_training/00\t40.00 ± 0.00\t",
        "co_training/00/b\t50.00 ± 0.00\t",
        "final\t70.00 ± 14.14\t70.00",
    ]
    lines = (tmp_path / "out" / "differences.tsv").read_text().splitlines()
    assert lines[1:] == [
        "second_2 - first_1 (×2)\tbaseline\t+10.00\t\t1\t1 of 1\t2: +10.00",
        "second_2 - first_1 (×2)\tfinal\t-10.00\t\t1\t0 of 1\t2: -10.00",
    ]
    assert (tmp_path / "out" / "settings.tsv").read_text().splitlines()[1:] == [
        "training.batch_size\tnot given\t8"
    ]
    printed = capsys.readouterr().out
    # Four models of 30 s.
    assert re.search(r"^first_1 .* 1 +4 +2\.0 ", printed, re.MULTILINE)
    assert printed.endswith("Page: out/index.html\n")
    assert "missing" in printed
    assert (tmp_path / "out" / "comparison.txt").read_text() in printed
    assert (tmp_path / "out" / "comparison.md").read_text().startswith("# Comparison of runs\n")


def test_what_is_no_run_and_what_cannot_be_compared_is_refused(write_run, tmp_path):
    first = write_run("first", 1, {"final": 6})
    for arguments, message in (
        ([first], "found one run, .*first; expected two or more"),
        ([first, first], "first: is given twice"),
        ([first, "results/gone"], r"results/gone: .*configuration\.json is missing; expected the folder"),
        ([first, write_run("other", 1, {"final": 6}, label="cd" * 32)], "their test sets differ"),
    ):
        with pytest.raises(InputError, match=message):
            main([*arguments, "--output", "out"])
    path = tmp_path / "results" / "first" / "report" / "health.json"
    write_text(path, json.dumps({"outcome": "", "findings": [], "images": 1, "source": {}, "models": {}}))
    with pytest.raises(InputError, match=r"health\.json"):
        main([first, write_run("other", 2, {"final": 6}), "--output", "out"])


def test_models_without_scores_keep_their_order_too(write_run, tmp_path):
    models = ["baseline", "self_training/00", "self_training/01", "co_training/00/a", "co_training/00/b"]
    models += ["co_training/01/a", "final", "upper_bound"]
    runs = [write_run(name, 1, {"final": 6}, precision=name) for name in ("first", "second")]
    # As a file system may give them.
    for model in models[::-1]:
        write_text(tmp_path / "results" / "first" / "models" / model / "weights.safetensors", "")
    # What a user puts beside them is no model.
    write_text(tmp_path / "results" / "first" / "models" / "final" / "old" / "weights.safetensors", "")
    main([*runs, "--output", "out"])
    lines = (tmp_path / "out" / "scores.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines[1:]] == models
    assert lines[1:3] == ["baseline\t\t", "self_training/00\t\t"]


def test_runs_without_scores_are_compared_by_their_settings(write_run, tmp_path, caplog):
    runs = [write_run("first", 1, {}, test=None), write_run("second", 1, {}, test=None, precision="float32")]
    main([*runs, "--output", "out"])
    assert "first: has no scores" in caplog.text
    assert "precision" in (tmp_path / "out" / "comparison.txt").read_text()
    assert "Scores" not in (tmp_path / "out" / "comparison.txt").read_text()


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["results/a", "results/b"], ["a", "b"]),
        (["s/one-1/results/r", "s/one-2/results/r", "s/x/results/r"], ["one-1", "one-2", "x"]),
        (["a/results/r", "b/more/results/r"], ["a", "b/more"]),
        # One lies within the other: no part is left of the first.
        (["a/r", "a/b/r"], ["a/r", "a/b/r"]),
    ],
)
def test_runs_of_one_name_are_called_by_what_differs(folders, names):
    assert names_of([Path(folder) for folder in folders]) == names
