import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import load_file, save_file

from cotrain.data.label_spaces import label_space, make_label_space
from cotrain.errors import InputError
from cotrain.networks.build import build_network
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
    tensors = load_file(path)
    tensors["box.new"] = tensors.pop("box.classifier.bias")
    save_file(tensors, path)
    message = (
        r"another network: 1 of \d+ tensors are missing \(classifier\.bias \(11,\)\); "
        r"1 are not expected \(new \(11,\)\)$"
    )
    with pytest.raises(InputError, match=message):
        load_into(build_network(settings, CLASSES, 3, pretrained=False), path)


def test_tensors_that_the_network_lacks_are_refused(saved, settings):
    _, path = saved
    save_file(load_file(path) | {"box.new": torch.zeros(2)}, path)
    with pytest.raises(InputError, match=r"another network: 1 are not expected \(new \(2,\)\)$"):
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
