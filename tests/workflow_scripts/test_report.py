import json

import numpy as np
import pytest
from PIL import Image

from cotrain.errors import InputError
from cotrain.evaluation.scores import scores
from workflow_scripts.report import main

PROTOCOL = {"test": "camera_test", "resize": None, "flip": False}
# mIoU 50 %, 75 %, 100 % on two classes of 100 pixels each.
CONFUSIONS = {
    "baseline": [[100, 0, 0], [0, 0, 100]],
    "final": [[100, 0, 0], [0, 50, 50]],
    "upper_bound": [[100, 0, 0], [0, 100, 0]],
}


@pytest.fixture
def files(tmp_path):
    made = {}
    for model, confusion in CONFUSIONS.items():
        content = {"model": model, "protocol": PROTOCOL, "images": 2}
        content |= scores(np.array(confusion), ("road", "sky"))
        made[model] = tmp_path / f"{model}.json"
        made[model].write_text(json.dumps(content))
    return made


def report(files, folder, models):
    main(["--scores", *(f"{model}={files[model]}" for model in models), "--output", str(folder)])


def test_report(files, tmp_path, capsys):
    folder = tmp_path / "a report"
    report(files, folder, ["baseline", "final", "upper_bound"])

    names = ["classes.tsv", "models.md", "models.png", "models.tsv", "models.txt"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert (folder / "models.tsv").read_text().splitlines() == [
        "model\tmIoU\tgain (points)\tgap closed\tfwIoU\tpixel accuracy\tmean class accuracy",
        "baseline\t50.00\t\t\t50.00\t50.00\t50.00",
        "final\t75.00\t+25.00\t50.0\t75.00\t75.00\t75.00",
        "upper_bound\t100.00\t+50.00\t\t100.00\t100.00\t100.00",
    ]
    assert (folder / "classes.tsv").read_text().splitlines() == [
        "model\troad\tsky",
        "baseline\t100.00\t0.00",
        "final\t100.00\t50.00",
        "upper_bound\t100.00\t100.00",
    ]
    markdown = (folder / "models.md").read_text()
    assert "| final | 75.00 | +25.00 | 50.0 |" in markdown
    assert "| sky | 0.00 | 50.00 | 100.00 |" in markdown
    assert "(models.png)" in markdown
    with Image.open(folder / "models.png") as picture:
        assert picture.format == "PNG"

    printed = capsys.readouterr().out
    text = (folder / "models.txt").read_text()
    assert text in printed
    assert str(folder) in printed
    assert "2 images, 2 classes, test: camera_test, resize: none, flip: no" in text


def test_order_of_the_arguments_is_kept(files, tmp_path):
    report(files, tmp_path / "report", ["final", "baseline"])
    lines = (tmp_path / "report" / "models.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines[1:]] == ["final", "baseline"]


def test_a_path_may_hold_an_equals_sign(files, tmp_path):
    (tmp_path / "lr=0.1").mkdir()
    files["final"] = files["final"].rename(tmp_path / "lr=0.1" / "scores.json")
    report(files, tmp_path / "report", ["final"])
    assert "final\t75.00" in (tmp_path / "report" / "models.tsv").read_text()


@pytest.mark.parametrize("argument", ["scores.json", "=scores.json", "final="])
def test_broken_arguments_are_named(tmp_path, argument):
    with pytest.raises(InputError, match=f"`{argument}`.*MODEL=PATH"):
        main(["--scores", argument, "--output", str(tmp_path)])


def test_a_model_given_twice_is_named(files, tmp_path):
    with pytest.raises(InputError, match=r"`final`.*twice"):
        report(files, tmp_path / "report", ["final", "final"])


def test_unlike_protocols_leave_no_report(files, tmp_path):
    content = json.loads(files["final"].read_text())
    content["protocol"]["resize"] = [512, 1024]
    files["final"].write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"protocol\.resize"):
        report(files, tmp_path / "report", ["baseline", "final"])
    assert not (tmp_path / "report").exists()


def test_notes_about_the_data_stand_below_the_table(files, tmp_path, capsys):
    note = "2 of the 3 test images are also in camera. " + "Scores may be too high. " * 6 + "/a/long path.png"
    checked = tmp_path / "checked.json"
    checked.write_text(json.dumps({"reports": [], "notes": [note]}))
    scores_of = [f"{model}={files[model]}" for model in ("baseline", "final")]
    main(["--scores", *scores_of, "--checked", str(checked), "--output", str(tmp_path / "report")])
    text = (tmp_path / "report" / "models.txt").read_text()
    assert text in capsys.readouterr().out
    assert f"Note: {note}" in " ".join(text.split())
    assert text.index("final") < text.index("Note: ") < text.index("IoU by class")
    assert max(map(len, text.splitlines())) <= 110
    assert f"|\n\nNote: {note}\n\n" in (tmp_path / "report" / "models.md").read_text()
    # A run that was checked by an earlier version has no notes.
    for content, message in (
        ('{"reports": []}', None),
        ("[]", "cannot be read as the notes"),
        ('{"notes": [7]}', r"notes\[0\]: expected text, found an integer"),
        ("{", "line 1 is not"),
    ):
        checked.write_text(content)
        arguments = ["--scores", *scores_of, "--checked", str(checked), "--output", str(tmp_path / "again")]
        if message is None:
            main(arguments)
            assert "Note" not in (tmp_path / "again" / "models.txt").read_text()
            continue
        with pytest.raises(InputError, match=rf"checked\.json: .*{message}"):
            main(arguments)


def test_models_without_scores(files, tmp_path, capsys):
    """No file of the scores that a run had before is left beside the tables that have none."""
    folder = tmp_path / "report"
    report(files, folder, ["baseline", "final"])
    (folder / "estimate.txt").write_text("two hours")
    records = {}
    for model, target in (("final", 5), ("baseline", 0)):
        records[model] = tmp_path / f"{model}.training.json"
        content = {
            "settings": {"iterations": 30},
            "images": {"source": 2, "target": target},
            "last_loss": 0.25,
        }
        records[model].write_text(json.dumps(content))
    checked = tmp_path / "checked.json"
    checked.write_text(json.dumps({"notes": ["game: look at it"]}))
    capsys.readouterr()
    trainings = [f"{model}={path}" for model, path in records.items()]
    main(["--trainings", *trainings, "--checked", str(checked), "--output", str(folder)])
    assert sorted(path.name for path in folder.iterdir()) == [
        *("estimate.txt", "models.md", "models.tsv", "models.txt")
    ]
    assert (folder / "models.tsv").read_text().splitlines() == [
        "model\titerations\tlast loss\ttarget images\tkept pixels (%)\tvanished classes",
        "final\t30\t0.250\t5\t\t0",
        "baseline\t30\t0.250\t\t\t0",
    ]
    text = (folder / "models.txt").read_text()
    assert capsys.readouterr().out == f"\n{text}\nTables: {folder}\n"
    assert "Note: game: look at it" in text
    assert "Note: game: look at it" in (folder / "models.md").read_text()


@pytest.mark.parametrize("arguments", [[], ["--scores", "a=b.json", "--trainings", "a=c.json"]])
def test_models_have_scores_or_records(tmp_path, arguments):
    with pytest.raises(SystemExit):
        main([*arguments, "--output", str(tmp_path)])


def test_a_record_that_is_none_is_named(files, tmp_path):
    with pytest.raises(InputError, match=r"final\.json: cannot be read as the record of a training"):
        main(["--trainings", f"final={files['final']}", "--output", str(tmp_path)])
    with pytest.raises(InputError, match=r"--trainings: found `final`, expected MODEL=PATH"):
        main(["--trainings", "final", "--output", str(tmp_path)])


def test_the_health_stands_at_the_end(files, tmp_path):
    health = tmp_path / "health.txt"
    health.write_text("Health\n\nVerdict\n\nAll is well.\n")
    main(
        ["--scores", f"final={files['final']}", "--health", str(health), "--output", str(tmp_path / "report")]
    )
    text, page = ((tmp_path / "report" / name).read_text() for name in ("models.txt", "models.md"))
    assert text.endswith("Health\n\nVerdict\n\nAll is well.\n")
    assert page.endswith("\n\n## Health\n\n```text\nHealth\n\nVerdict\n\nAll is well.\n```\n")
    health.unlink()
    with pytest.raises(
        InputError, match=r"health\.txt: cannot be read as the health of a run .*No such file"
    ):
        main(["--scores", f"final={files['final']}", "--health", str(health), "--output", str(tmp_path)])
