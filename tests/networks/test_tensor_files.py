import pickle
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cotrain.errors import InputError
from cotrain.networks.tensor_files import read_checkpoint


def test_pickle_of_arrays(tmp_path):
    path = tmp_path / "R-103.pkl"
    arrays = {"stem.conv1.weight": np.arange(6, dtype=np.float32).reshape(1, 2, 3)}
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "x", "matching_heuristics": True}))
    tensors = read_checkpoint(path)
    assert torch.equal(tensors["stem.conv1.weight"], torch.arange(6.0).reshape(1, 2, 3))


def test_checkpoint_with_optimiser(tmp_path):
    torch.save(
        {"model": {"a": torch.ones(2)}, "optimizer": {"lr": 0.1}, "iteration": 9}, tmp_path / "model.pth"
    )
    assert torch.equal(read_checkpoint(tmp_path / "model.pth")["a"], torch.ones(2))


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("name", ["evil.pkl", "evil.pth"])
def test_code_is_refused_and_does_not_run(tmp_path, name):
    content = {"model": {"a": Evil(str(tmp_path / "written"))}}
    path = tmp_path / name
    if name.endswith(".pth"):
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=re.escape(str(path))):
        read_checkpoint(path)
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (pickle.dumps({"model": {"a": np.ones(9)}})[:40], "cannot be read"),
        (pickle.dumps([1, 2]), "holds list"),
        (pickle.dumps({"model": {}}), "expected names and tensors"),
        (pickle.dumps({"a": "text"}), "expected names and tensors"),
    ],
)
def test_a_file_that_is_not_a_checkpoint_is_explained(tmp_path, content, message):
    path = tmp_path / "weights.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_checkpoint(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 0.1, 0.9])
def test_a_truncated_file_is_refused(tmp_path, suffix, kept):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pkl":
        path.write_bytes(pickle.dumps({"a": np.ones(999, np.float32)}))
    else:
        (save_file if suffix == ".safetensors" else torch.save)({"a": torch.ones(999)}, path)
    assert torch.equal(read_checkpoint(path)["a"], torch.ones(999))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(InputError, match=r"cannot be read as weights") as error:
        read_checkpoint(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_checkpoint(tmp_path / "gone.pkl")
