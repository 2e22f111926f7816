import logging

import pytest

from cotrain.configuration.reading import resolve
from cotrain.configuration.settings_files import settings_text
from cotrain.data.files import write_json, write_text
from cotrain.errors import InputError
from workflow_scripts.command_line import new_parser, parse
from workflow_scripts.status import main

EXAMPLE = "python -m workflow_scripts.status x"


@pytest.fixture
def begun_run(tmp_path, monkeypatch):
    """The folder of a run that has only begun."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images.txt").write_text("a.png\n")
    lists = {"layout": "lists", "images": "images.txt"}
    datasets = {"game": {"layout": "streets", "look": "game"}, "camera": lists}
    configuration = resolve({"run": "tiny", "datasets": datasets, "source": ["game"], "target": "camera"})
    folder = tmp_path / "results" / "tiny"
    write_text(folder / "settings" / "configuration.json", settings_text(configuration))
    return folder


def test_what_lies_on_disk_is_told(begun_run, tmp_path, capsys, monkeypatch):
    write_json(tmp_path / "state" / "tiny" / "speeds.json", {"train": 0.5})
    write_json(
        tmp_path / "state" / "tiny" / "baseline" / "progress.json",
        {"iteration": 7, "seconds_an_iteration": 0.25},
    )
    # A step that fails: its log says why. Then one that has succeeded.
    parse(new_parser(None, EXAMPLE), ["--log-file", str(begun_run / "logs" / "evaluate" / "a.log")])
    logging.getLogger("cotrain").error("error: is bad")
    (begun_run / "logs" / "report.log").write_text("12:00:00  done\n")
    # From another folder.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    before = sorted(tmp_path.rglob("*"))
    main(["../results/tiny"])
    output = capsys.readouterr().out
    assert "training    baseline: iteration 7 of " in output
    assert "evaluate/a: error: is bad" in output
    assert "report:" not in output
    assert "0 of " in output
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_no_run_is_refused(tmp_path, begun_run):
    with pytest.raises(
        InputError, match=r"gone: .*configuration\.json is missing; expected the folder of a run"
    ):
        main([str(tmp_path / "gone")])
    (begun_run / "settings" / "configuration.json").write_text("{}")
    with pytest.raises(InputError, match=r"configuration\.json"):
        main([str(begun_run)])
