import argparse
import pickle
import re
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cotrain.errors import InputError
from cotrain.networks.tensor_files import matched, mistakes, read_tensors, unexpected

# No message may pass on the words of a library, least of all the advice to run the code of a file.
OF_LIBRARIES = (
    "weights_only",
    "add_safe_globals",
    "Unpickl",
    "pickle data",
    "invalid load key",
    "Weights only",
)


def refused(path):
    with pytest.raises(InputError) as error:
        read_tensors(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert not [words for words in OF_LIBRARIES if words in text]
    return text.removeprefix(f"{path}: ")


def test_pickle_of_arrays(tmp_path):
    path = tmp_path / "R-103.pkl"
    arrays = {"stem.conv1.weight": np.arange(6, dtype=np.float32).reshape(1, 2, 3)}
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "x", "matching_heuristics": True}))
    assert {name: tensor.tolist() for name, tensor in read_tensors(path).items()} == {
        "model.stem.conv1.weight": [[[0, 1, 2], [3, 4, 5]]]
    }


@pytest.mark.parametrize("suffix", ["pth", "pt", "pth.tar", "bin", "ckpt", "safetensors"])
@pytest.mark.parametrize("archive", [True, False])
def test_a_checkpoint_of_torch_under_any_name(tmp_path, suffix, archive):
    path = tmp_path / f"model.{suffix}"
    content = {
        "state_dict": {"a": nn.Parameter(torch.ones(2)), "b": np.full(2, 3, ">f4"), "n": torch.tensor(7)},
        "optimizer": {"state": {0: {"momentum": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]},
        "epoch": 9,
        "best": np.float64(0.7),
        "args": argparse.Namespace(lr=0.1, name="x"),
    }
    torch.save(content, path, _use_new_zipfile_serialization=archive)
    assert {name: tensor.tolist() for name, tensor in read_tensors(path).items()} == {
        "state_dict.a": [1, 1],
        "state_dict.b": [3, 3],
        "state_dict.n": 7,
        "optimizer.state.0.momentum": [0, 0],
    }


def test_safetensors_under_another_name(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "weights.pth")
    assert read_tensors(tmp_path / "weights.pth")["a"].tolist() == [1, 1]


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("kind", ["pickle", "archive", "before archives"])
def test_code_is_refused_and_does_not_run(tmp_path, kind):
    content = {"model": {"a": Evil(str(tmp_path / "written"))}}
    path = tmp_path / "evil.pth"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "archive")
    assert re.search(
        r"it holds objects other than tensors and numbers \(_?io\.open\)\. To load it would run code of the "
        "file, so it is refused",
        refused(path),
    )
    assert not (tmp_path / "written").exists()


# torch says that it does not find the source of these classes.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("archive", [True, False])
def test_a_whole_network_is_refused_with_the_remedy(tmp_path, archive):
    path = tmp_path / "network.pth"
    torch.save(nn.Sequential(nn.Conv2d(3, 4, 1)), path, _use_new_zipfile_serialization=archive)
    text = refused(path)
    assert "a whole pickled network (torch.nn.modules.container.Sequential, " in text
    assert text.endswith("write network.state_dict() with torch.save")


def test_tensors_that_pickle_wrote_are_refused_with_the_remedy(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"a": torch.ones(2)}))
    assert refused(tmp_path / "x.pkl").endswith("needs code to read them; expected torch.save")


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_archive_is_named(tmp_path):
    torch.jit.save(torch.jit.trace(nn.Linear(2, 1), torch.zeros(1, 2)), tmp_path / "network.pt")
    text = refused(tmp_path / "network.pt")
    assert "it is a TorchScript archive" in text
    assert f"torch.jit.load('{tmp_path}/network.pt'" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty (0 bytes). Download"),
        (b"\n<!DOCTYPE html>\n<html><head>", "it is a web page (HTML)"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7\nsize 9\n",
            "it is a pointer of Git LFS",
        ),
        (b'{"error": "Entry not found"}\n', 'it is a text that begins with \'{"error": "Entry not found"}\''),
        (b"\x1f\x8b\x08\x00\x00", "it is a gzip archive; unpack it"),
        (b"\x89HDF\r\n\x1a\n\x00", "it is an HDF5 file"),
        # As torch writes it, as another tool does, and what onnx makes of a graph without a producer.
        (b"\x08\n\x12\x07pytorch\x1a", "it is an ONNX file, a graph for inference, without the parts that"),
        (b"\x08\x03\x12\x06skl2on", "it is an ONNX file"),
        (b"\x08\x0e:3\n\x0c\n\x01x\x12\x01y", "it is an ONNX file"),
        (b"\x08\x01\x02\xff" * 9, "it is of an unknown kind"),
        (b"\x00\x01\x02\xff" * 9, "it is of an unknown kind, or damaged; expected a .safetensors file"),
        (b"PK\x03\x04" + b"\x00" * 40, "it is damaged or cut off"),
        (b"\x10\0\0\0\0\0\0\0{not a header} }", "the header of this safetensors file is damaged"),
        (pickle.dumps({"model": {"a": np.ones(9)}})[:40], "it is damaged or cut off"),
        (pickle.dumps([1, 2]), "it holds a Python list, expected names and tensors"),
        (
            pickle.dumps({"model": {}, "epoch": 3}),
            "it holds a dictionary with the keys model, epoch, expected",
        ),
        (pickle.dumps({"a": "text"}), "it holds a dictionary with the keys a, expected names and tensors"),
    ],
)
def test_a_file_that_holds_no_weights_is_explained(tmp_path, content, message):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert refused(path).startswith(f"cannot be read as weights: {message}")


def test_one_tensor_is_no_set_of_weights(tmp_path):
    torch.save(torch.ones(2, 2), tmp_path / "w.pth")
    assert refused(tmp_path / "w.pth") == (
        "cannot be read as weights: it holds one tensor without a name, expected names and tensors, as in a "
        "state dict"
    )


def test_other_archives_and_folders_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("checkpoints/model.pth", b"")
    assert "a zip archive that torch.save did not write; unpack it" in refused(tmp_path / "x.pth")
    np.savez(tmp_path / "arrays.npz", weight=np.zeros(3))
    assert "it holds arrays of numpy; expected" in refused(tmp_path / "arrays.npz")
    with zipfile.ZipFile(tmp_path / "model.pt2", "w") as archive:
        archive.writestr("model/archive_format", b"pt2")
    text = refused(tmp_path / "model.pt2")
    assert "it is a file of torch.export, a graph for inference" in text
    assert text.endswith("write its state dict: torch.save(network.state_dict(), 'weights.pth')")
    # Its bytes tell nothing.
    (tmp_path / "model.ONNX").write_bytes(b"\x00\x01\x02\xff" * 9)
    assert "it is an ONNX file" in refused(tmp_path / "model.ONNX")
    assert "it is a folder; expected a file" in refused(tmp_path)
    assert refused(tmp_path / "gone.pkl") == "there is no such file"


@pytest.mark.parametrize("kind", ["archive", "before archives", "pickle", "safetensors"])
@pytest.mark.parametrize("kept", [0.1, 0.9])
def test_a_truncated_file_is_refused(tmp_path, kind, kept):
    path = tmp_path / "weights"
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"a": np.ones(999, np.float32)}))
    elif kind == "safetensors":
        save_file({"a": torch.ones(999)}, path)
    else:
        torch.save({"a": torch.ones(999)}, path, _use_new_zipfile_serialization=kind == "archive")
    assert torch.equal(read_tensors(path)["a"], torch.ones(999))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert "it is damaged or cut off" in refused(path)


EXPECTED = {"conv.weight": torch.zeros(2, 3), "norm_1.bias": torch.zeros(2)}
FITTING = {"conv.weight": torch.full((2, 3), 4.0), "norm.1.bias": torch.full((2,), 5.0)}


def under(prefix, tensors):
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "module.",
        "_orig_mod.",
        "backbone.",
        "state_dict.module.encoder.",
        "model_state.model.",
        "any.thing.",
    ],
)
def test_tensors_are_found_below_any_one_prefix(prefix):
    # A classifier beside them and the state of an optimiser are left out.
    found = under(prefix, FITTING) | {
        f"{prefix}fc.weight": torch.ones(9),
        "optimizer.state.0.x": torch.ones(2),
    }
    tensors, place = matched(EXPECTED, found)
    assert place == prefix
    assert {name: tensor.unique().tolist() for name, tensor in tensors.items()} == {
        "conv.weight": [4],
        "norm_1.bias": [5],
    }


def test_two_sets_that_fit_are_not_chosen_from():
    found = under("teacher.", FITTING) | under("student.", FITTING)
    with pytest.raises(InputError, match=r"those below 'teacher\.', 'student\.'; expected one"):
        matched(EXPECTED, found)
    # A second set that does not fit takes no part.
    found["student.norm.1.bias"] = torch.ones(3)
    assert matched(EXPECTED, found)[1] == "teacher."
    # Tensors that need no prefix are the network's own.
    assert matched(EXPECTED, found | FITTING)[1] == ""


def test_what_does_not_fit_is_named_with_both_shapes():
    found = under("module.", FITTING) | {"module.conv.weight": torch.ones(2, 4), "module.fc": torch.ones(1)}
    del found["module.norm.1.bias"]
    with pytest.raises(InputError) as error:
        matched(EXPECTED, found)
    assert str(error.value) == (
        "below 'module.', 1 of 2 tensors is missing (norm_1.bias (2,)); 1 has another shape (conv.weight "
        "is (2, 4), expected (2, 3)); 1 other is there (module.fc (1,))"
    )
    with pytest.raises(
        InputError, match=r"of its 2 tensors none has an expected name; found x, y, expected conv"
    ):
        matched(EXPECTED, {"x": torch.ones(1), "y": torch.ones(1)})


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_floating_point_numbers_of_any_precision_can_be_taken(kind):
    assert mistakes(EXPECTED, {name: tensor.to(kind) for name, tensor in EXPECTED.items()}) == []


def test_integers_and_values_that_are_not_finite_are_named():
    for dtype in (torch.int8, torch.int32, torch.float8_e4m3fn):
        [of_dtype] = mistakes(EXPECTED, EXPECTED | {"conv.weight": torch.zeros(2, 3).to(dtype)})
        name = str(dtype).removeprefix("torch.")
        assert of_dtype.startswith(
            f"1 holds no floating-point numbers of 16 bit or more (conv.weight is {name})"
        )
    assert mistakes(EXPECTED, EXPECTED | {"conv.weight": torch.zeros(2, 3).bfloat16()}) == []
    not_finite = EXPECTED | {"norm_1.bias": torch.tensor([1, torch.inf])}
    assert mistakes(EXPECTED, not_finite) == ["1 holds infinite values or NaN (norm_1.bias)"]
    # A mask of a network's own may be infinite.
    assert mistakes(not_finite, not_finite) == []
    assert unexpected(EXPECTED, EXPECTED | {"z": torch.ones(1)}) == ["1 is not expected (z (1,))"]
