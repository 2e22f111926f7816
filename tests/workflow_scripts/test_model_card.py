import json
import shutil
import subprocess

import pytest

import cotrain
from cotrain.errors import InputError
from cotrain.training.record import code_hash
from workflow_scripts.model_card import main

SIZE = {"parameters": 3, "tensors": 1, "bytes": 12, "operations_a_pixel": 4, "saved_bytes_a_pixel": 5}


@pytest.fixture
def make(tmp_path):
    record = {
        "model": "final",
        "settings": {"iterations": 9, "network": {"name": "deeplabv3plus"}},
        "images": {"source": 4, "target": 2, "kept_share": 0.5},
        "code": code_hash(),
    }

    def go(*more, **changes):
        (tmp_path / "training.json").write_text(json.dumps(record | changes))
        # As an earlier version wrote it: without first weights.
        (tmp_path / "networks.json").write_text(json.dumps({"networks": {"network": SIZE}}))
        (tmp_path / "prediction.json").write_text('{"resize": [64, 96], "batch_size": 2, "flip": false}')
        files = [
            f"--{name}={tmp_path / file}.json"
            for name, file in (("record", "training"), ("networks", "networks"))
        ]
        words = [
            "--label-space",
            "camvid11",
            "--source",
            "game",
            f"--output={tmp_path / 'out' / 'README.md'}",
        ]
        main([*files, *words, *more])
        return (tmp_path / "out" / "README.md").read_text(encoding="utf-8")

    return go


def test_a_card_of_an_earlier_run(make, tmp_path):
    text = make("--settings", str(tmp_path / "prediction.json"), "--target", "camera")
    assert "First weights of the backbone: not recorded" in text
    assert "3 parameters" in text
    # Only what decides how an image is seen, and is no default.
    assert 'settings={"resize": [64, 96]})' in text
    assert "| bicyclist | 10 |" in text


def test_the_commit_is_named_only_of_the_code_that_trained(make):
    assert f"Trained by: cotrain {cotrain.__version__}" in make()
    text = make(code="0123")
    assert (
        f"Trained by: not the code of cotrain {cotrain.__version__}, which wrote this page; hash 0123" in text
    )
    assert "commit" not in text


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_the_commit_is_that_of_the_folder_of_the_code(make, tmp_path, monkeypatch):
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    monkeypatch.setattr(cotrain, "__file__", str(folder / "__init__.py"))
    # No clone.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert f"- Trained by: cotrain {cotrain.__version__}; " in make(code=code_hash())
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x"]
    for command in ("init", "add a.txt", "commit --message x"):
        subprocess.run([*git, *command.split()], check=True, capture_output=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert f"cotrain {cotrain.__version__}, commit {head.strip()}; " in make(code=code_hash())
    (folder / "a.txt").write_text("b")
    assert f"commit {head.strip()}-dirty; " in make(code=code_hash())


def test_bad_input(make, tmp_path):
    with pytest.raises(InputError, match=r"--network: found 'network_b', expected a network of .*: network$"):
        make("--network", "network_b")
    with pytest.raises(InputError, match="--scores and --test: found one of them"):
        make("--test", "camera_test")
    with pytest.raises(InputError, match="--scores and --health: found both, expected one of them"):
        make("--test", "camera_test", "--scores", "scores.json", "--health", "health.json")
    (tmp_path / "health.json").write_text('{"images": 3}')
    with pytest.raises(InputError, match=r"health\.json: cannot be read as the health of a run"):
        make("--health", str(tmp_path / "health.json"))
    with pytest.raises(InputError, match=r"training\.json: cannot be read as the record of a training"):
        make(images=3)
    assert not (tmp_path / "out").exists()
