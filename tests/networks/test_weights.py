import json
from types import SimpleNamespace

import pytest
import torch
from msgspec.structs import replace
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cotrain.configuration.sections import OwnNetworkSettings
from cotrain.data.label_spaces import label_space, make_label_space
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.tensor_files import read_tensors
from cotrain.networks.weights import load_into, load_network, load_networks, read_header, save_weights

CLASSES = 11

SPACE = label_space("camvid11")


@pytest.fixture
def settings(network_settings):
    torch.set_num_threads(1)
    return network_settings


@pytest.fixture
def saved(settings, tmp_path):
    network = build_network(settings, CLASSES, 3, pretrained=False)
    network.train()(torch.randint(0, 256, (2, 3, 32, 32)))
    save_weights(tmp_path / "model" / "weights.safetensors", network, settings, SPACE)
    return network, tmp_path / "model" / "weights.safetensors"


def test_round_trip(saved, settings):
    network, path = saved
    assert read_header(path) == (settings, SPACE)
    loaded = load_network(path)
    assert loaded.state_dict().keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    images = torch.randint(0, 256, (1, 3, 48, 40), dtype=torch.uint8)
    torch.testing.assert_close(loaded.eval()(images), network.eval()(images))


def test_names_of_tensors_in_a_file(saved):
    network, path = saved
    names = {f"box.{name}" for name in network.model.state_dict()}
    assert set(load_file(path)) == names
    assert "box.classifier.weight" in names


def test_loading_needs_no_weights_of_the_backbone(settings, tmp_path):
    elsewhere = replace(settings, backbone_weights="/gone/weights.pth")
    network = build_network(elsewhere, CLASSES, 3, pretrained=False)
    save_weights(tmp_path / "weights.safetensors", network, elsewhere, SPACE)
    load_network(tmp_path / "weights.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 0.5, -1])
def test_damaged_files_are_refused(saved, kept):
    _, path = saved
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(InputError, match=r"weights\.safetensors: cannot be read as weights: it is "):
        read_header(path)


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        read_header(tmp_path / "gone.safetensors")
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match="which network it belongs to"):
        read_header(tmp_path / "foreign.safetensors")
    torch.save({"a": torch.zeros(2)}, tmp_path / "foreign.pth")
    with pytest.raises(InputError, match=r"foreign\.pth: .*import_weights .* network\.backbone_weights"):
        read_header(tmp_path / "foreign.pth")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors", metadata={"network": "{}"})
    with pytest.raises(InputError, match="which network it belongs to"):
        read_header(tmp_path / "other.safetensors")


def test_weights_of_another_network_are_refused(saved, settings):
    _, path = saved
    for network in (
        build_network(settings, CLASSES + 1, 3, pretrained=False),
        build_network(replace(settings, aspp_channels=16), CLASSES, 3, pretrained=False),
    ):
        with pytest.raises(InputError, match=r"holds the weights of another network: .*have another shape"):
            load_into(network, path)
    model = torch.nn.Module()
    model.classifier = torch.nn.Conv2d(4, CLASSES, 1, bias=False)
    tensors = dict(build_network(settings, CLASSES, 3, pretrained=False).model.state_dict())
    tensors["new"] = tensors.pop("classifier.bias")
    model.state_dict = lambda: tensors
    save_weights(path, SimpleNamespace(model=model), settings, SPACE)
    message = (
        r"another network: 1 of \d+ tensors is missing \(classifier\.bias \(11,\)\); "
        r"1 is not expected \(new \(11,\)\)$"
    )
    with pytest.raises(InputError, match=message):
        load_into(build_network(settings, CLASSES, 3, pretrained=False), path)


def test_label_spaces_are_compared_by_their_classes(saved, settings, tmp_path):
    network, path = saved
    entries = SPACE.definition()["classes"]
    # The same name, and the same classes in another order.
    turned = make_label_space(SPACE.name, entries[::-1])
    save_weights(tmp_path / "turned.safetensors", network, settings, turned)
    with pytest.raises(InputError, match=r"turned\.safetensors: weights for camvid11 \(\w+, .*sky\)"):
        load_networks([path, tmp_path / "turned.safetensors"])
    # Another name for the same classes does no harm.
    renamed = make_label_space("mine", entries)
    save_weights(tmp_path / "renamed.safetensors", network, settings, renamed)
    assert load_networks([path, tmp_path / "renamed.safetensors"])[1] == SPACE


def test_equal_weights_are_equal_bytes(tmp_path, settings):
    network = build_network(settings, 11, seed=0, pretrained=False)
    for name in range(8):
        save_weights(tmp_path / f"{name}.safetensors", network, settings, SPACE)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def damaged(path, place, bit=1):
    with path.open("rb+") as file:
        file.seek(place, 0 if place >= 0 else 2)
        [byte] = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ bit]))


def test_one_changed_bit_of_the_weights_is_noticed(saved):
    network, path = saved
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    # The first and the last byte, and some between: weights, statistics and counts of batches.
    for place in [*range(start, len(whole), len(whole) // 50), len(whole) - 1]:
        damaged(path, place)
        with pytest.raises(
            InputError, match=r"weights\.safetensors: .* it is damaged: .* train the model again"
        ):
            load_into(network, path)
        path.write_bytes(whole)
    load_into(network, path)


def test_one_changed_bit_is_noticed_where_a_backbone_is_taken_from_a_model(saved):
    _, path = saved
    assert "box.classifier.weight" in read_tensors(path)
    damaged(path, -100)
    with pytest.raises(InputError, match=r"weights\.safetensors: cannot be read as weights: it is damaged"):
        read_tensors(path)


def test_a_changed_header_or_other_names_are_noticed(saved):
    network, path = saved
    whole = path.read_bytes()
    # Colours and classes change places, and so do two tensors of one shape.
    for old, new in (
        (b"[128, 128, 128]", b"[128, 128, 129]"),
        (b'"box.low_level.1.bias"', b'"box.low_level.1.bia5"'),
        (rb"\"dropout\": 0.3", rb"\"dropout\": 0.2"),
    ):
        assert whole.count(old) == 1, old
        path.write_bytes(whole.replace(old, new))
        with pytest.raises(InputError, match="it is damaged: its content does not have the SHA-256"):
            load_into(network, path)


def test_weights_of_every_type_are_in_the_sum(saved, settings):
    """Types that NumPy lacks, numbers without a shape, an empty tensor."""
    _, path = saved
    model = torch.nn.Module()
    for index, value in enumerate(
        [torch.ones(3, dtype=torch.bfloat16), torch.tensor(3), torch.tensor(True), torch.zeros(0, 4)]
    ):
        model.register_buffer(f"b{index}", value)
    save_weights(path, SimpleNamespace(model=model), settings, SPACE)
    load_into(SimpleNamespace(model=model), path)
    damaged(path, -1)
    with pytest.raises(InputError, match="it is damaged"):
        load_into(SimpleNamespace(model=model), path)


def test_arguments_of_any_keys_are_in_the_sum(saved):
    _, path = saved
    own = OwnNetworkSettings(name="any:any", arguments={"of_block": {9: 0.1, 10: (1, None)}})
    model = torch.nn.Conv2d(3, CLASSES, 1)
    save_weights(path, SimpleNamespace(model=model), own, SPACE)
    load_into(SimpleNamespace(model=model), path)


def test_a_file_without_a_sum_is_of_an_earlier_version(saved):
    _, path = saved
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["cotrain"])
    header.pop("sha256")
    save_file(load_file(path), path, metadata={"cotrain": json.dumps(header)})
    for read in (read_header, load_network):
        with pytest.raises(InputError, match=r"not that of this version of cotrain; train the model again"):
            read(path)


def test_a_header_that_names_code_runs_none(saved, tmp_path, monkeypatch):
    """The function is imported and called only if the caller names the same one."""
    _, path = saved
    (tmp_path / "code_of_somebody.py").write_text(
        f"from pathlib import Path\nimport torch\nPath({str(tmp_path / 'imported')!r}).touch()\n"
        "def make(number_of_classes): return torch.nn.Conv2d(3, number_of_classes, 8, 8)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = OwnNetworkSettings(name="code_of_somebody:make")
    model = torch.nn.Conv2d(3, CLASSES, 8, 8)
    save_weights(path, SimpleNamespace(model=model), own, SPACE)
    message = r"function 'code_of_somebody:make', .* add --allow-code code_of_somebody:make \(in Python: "
    for load in (load_network, lambda path: load_networks([path], allowed_code=["code_of_somebody:other"])):
        with pytest.raises(InputError, match=message):
            load(path)
    assert not (tmp_path / "imported").exists()
    loaded = load_network(path, ["code_of_somebody:make"])
    assert torch.equal(loaded.model.weight, model.weight)


def test_header_of_another_version_is_refused(saved, tmp_path):
    _, path = saved
    text = path.read_bytes()
    # One letter of a key in the header is changed, so its length stays.
    path.write_bytes(text.replace(b'\\"label_space\\"', b'\\"label_spaxe\\"'))
    with pytest.raises(InputError, match="its header is not that of this version of cotrain"):
        read_header(path)


def test_networks_of_one_label_space_are_loaded_together(saved, settings, tmp_path):
    network, path = saved
    other = build_network(settings, CLASSES, 4, pretrained=False)
    save_weights(tmp_path / "other.safetensors", other, settings, SPACE)
    loaded, space = load_networks([path, tmp_path / "other.safetensors"])
    assert space == SPACE
    for found, expected in zip(loaded, (network, other), strict=True):
        for name, tensor in expected.state_dict().items():
            assert torch.equal(tensor, found.state_dict()[name]), name


def test_networks_of_two_label_spaces_are_refused(saved, settings, tmp_path):
    _, path = saved
    idd = label_space("idd7")
    network = build_network(settings, idd.number_of_classes, 3, pretrained=False)
    save_weights(tmp_path / "idd.safetensors", network, settings, idd)
    message = (
        r"idd\.safetensors: weights for idd7 \(.*\), expected the label space of .*: camvid11 \(sky, .*\)"
    )
    with pytest.raises(InputError, match=message):
        load_networks([path, tmp_path / "idd.safetensors"])
