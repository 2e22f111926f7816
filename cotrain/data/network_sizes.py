"""How large networks are: decides the memory, the time and the disk of trainings and predictions.

The same file says what their first weights were.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from cotrain.data.json_files import Record, read_record

Amount = Annotated[int, Meta(ge=0, le=2**50)]


class NetworkSize(Record, frozen=True, kw_only=True):
    """How large a network is; a pixel is one of the image that it sees.

    Attributes:
        parameters: the number of trained values.
        tensors: the number of tensors that are saved, trained or not.
        bytes: all bytes of these tensors.
        operations_a_pixel: floating-point operations of a forward pass; a multiplication and an addition
            count as two.
        saved_bytes_a_pixel: what a training in float32 keeps of the forward pass for the backward pass,
            parameters left out.
    """

    parameters: Amount
    tensors: Amount
    bytes: Amount
    operations_a_pixel: Amount
    saved_bytes_a_pixel: Amount


class FirstWeights(Record, frozen=True, kw_only=True):
    """Where the first weights of a network come from.

    Attributes:
        what: where from, in words.
        pretrained: whether somebody trained them.
        licence: under which licence they are published; None if that is not known.
        url: where more about them can be read, if that is known.
    """

    what: str
    pretrained: bool
    licence: str | None = None
    url: str | None = None


class Networks(Record, frozen=True):
    """What `check_networks` writes of each network, by its key in the configuration.

    A file of an earlier version has no first weights.
    """

    networks: dict[str, NetworkSize]
    first_weights: dict[str, FirstWeights] = msgspec.field(default_factory=dict)


def read_networks(path: Path) -> Networks:
    """Return what `check_networks` wrote; InputError if it is something else."""
    return read_record(path, Networks, "the sizes of networks", "what check_networks wrote")


def read_network_sizes(path: Path) -> dict[str, NetworkSize]:
    """Return the sizes in what `check_networks` wrote; InputError if it is something else."""
    return read_networks(path).networks
