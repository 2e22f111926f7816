"""How large networks are: decides the memory, the time and the disk of trainings and predictions."""

from pathlib import Path
from typing import Annotated

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


class NetworkSizes(Record, frozen=True):
    """What `check_networks` writes: the size of each network, by its key in the configuration."""

    networks: dict[str, NetworkSize]


def read_network_sizes(path: Path) -> dict[str, NetworkSize]:
    """Return what `check_networks` wrote; InputError if it is something else."""
    what, expected = "the sizes of networks", "what check_networks wrote"
    return read_record(path, NetworkSizes, what, expected).networks
