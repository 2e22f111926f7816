"""Weights that somebody trained elsewhere, in a network that a configuration can name."""

from collections.abc import Mapping

from torch import Tensor

from cotrain.configuration.sections import NetworkSettings
from cotrain.data.label_spaces import LabelSpace
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.network import Network
from cotrain.networks.tensor_files import closest, matched, mistakes, unexpected, without_batch_counts


def network_with(
    found: Mapping[str, Tensor], settings: NetworkSettings, space: LabelSpace
) -> tuple[Network, str]:
    """Return the network of `settings` with tensors of a file, and what stood before their names there.

    `found` are the tensors of the file by name. All of the network's must be there, below one prefix such as
    `state_dict.module.`, and below it nothing else: a smaller network also fits into a larger one. Batch
    norm's counts of batches do not matter.

    Raises:
        InputError: the network cannot be built, or the tensors are those of another network or of another
            number of classes.
    """
    network = build_network(settings, space.number_of_classes, seed=0, pretrained=False)
    expected, found = without_batch_counts(network.model.state_dict()), without_batch_counts(found)
    try:
        tensors, prefix = matched(expected, found)
    except InputError as error:
        number = _number_of_outputs(expected, found, settings, space)
        if number is None:
            raise InputError(f"not the weights of this network: {error}") from error
        raise InputError(
            f"its network has {number} outputs, and {space.name} has {space.number_of_classes} classes "
            f"({', '.join(space.classes)}); expected an output for each class, in this order. Give the "
            "classes that it was trained on, in their order, as --label-space; a .yaml file can list your own"
        ) from error
    taken = set(map(id, tensors.values()))
    more = {
        name: tensor for name, tensor in found.items() if name.startswith(prefix) and id(tensor) not in taken
    }
    if more:
        raise InputError(
            f"not the weights of this network: it has all {len(expected)} tensors, but besides them "
            f"{unexpected({}, more)[0]}. Describe the larger network, or write the wanted tensors into a "
            "file of their own with torch.save"
        )
    network.model.load_state_dict(tensors, strict=False)
    return network, prefix


def _number_of_outputs(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], settings: NetworkSettings, space: LabelSpace
) -> int | None:
    """Return how many outputs the network of a file has, if these are all in which it differs."""
    classes = space.number_of_classes
    # Sizes that grow with the number of classes are those of outputs.
    larger = build_network(settings, classes + 1, seed=0, pretrained=False).model.state_dict()
    places = {
        name: place
        for name, tensor in expected.items()
        for place, sizes in enumerate(zip(tensor.shape, larger.get(name, tensor).shape, strict=False))
        if sizes == (classes, classes + 1)
    }
    under_own_names, _ = closest(expected, found)
    others = {name: tensor for name, tensor in expected.items() if name not in places}
    if mistakes(others, under_own_names):
        return None
    outputs = [(under_own_names.get(name), expected[name].ndim, place) for name, place in places.items()]
    numbers = {
        tensor.shape[place]
        for tensor, dimensions, place in outputs
        if tensor is not None and tensor.ndim == dimensions
    }
    return numbers.pop() if len(numbers) == 1 and classes not in numbers else None
