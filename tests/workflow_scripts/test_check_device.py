import json

import pytest
import torch

from cotrain.errors import InputError
from workflow_scripts import check_device


def test_a_device_that_is_there_is_named(tmp_path):
    output = tmp_path / "device.json"
    check_device.main(["--device", "cpu", "--gpus-per-training", "2", "--output", str(output)])
    assert json.loads(output.read_text()) == {"device": "cpu"}


def test_a_device_that_is_missing_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="device: 'cuda' is set, but PyTorch finds no usable"):
        check_device.main(["--device", "cuda", "--output", str(tmp_path / "device.json")])
    assert not (tmp_path / "device.json").exists()
