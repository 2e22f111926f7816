"""The passes of a training step through the network: forward to the loss of each pixel, and backward."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cotrain.configuration.choices import Precision
from cotrain.configuration.sections import TrainingSettings
from cotrain.devices import autocast
from cotrain.errors import InputError
from cotrain.training.checkpointing import checkpoint_blocks
from cotrain.training.losses import pixel_losses
from cotrain.training.parallel import ALONE, Workers

# cuDNN chooses its kernels, and libraries allocate what they need, before a pass is recorded.
WARM_UP_PASSES = 3


class Passes(Protocol):
    """How a step goes through the network: `forward`, a loss made of its losses, then `backward`."""

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses (B · H · W,) with gradient and logits (B, C, H, W) without, both float32.

        `images` are (B, 3, H, W) uint8 RGB, `labels` (B, H, W) int64 train ids, 255 for void. Both results
        hold until the next call.
        """

    def backward(self, loss: Tensor) -> None:
        """Set the gradients of the network's parameters; `loss` is made of the last `forward`."""


class EagerPasses:
    """Each operation is started when its turn comes."""

    def __init__(self, network: nn.Module, precision: Precision) -> None:
        self.network, self.precision = network, precision

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Passes`."""
        with autocast(images.device, self.precision):
            logits = self.network(images)
        # Contiguous class by class: the softmax at full size then takes half the time of channels-last.
        logits = logits.float().contiguous()
        logits = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
        return pixel_losses(logits, labels), logits.detach()

    def backward(self, loss: Tensor) -> None:
        """See `Passes`."""
        self.network.zero_grad(set_to_none=True)
        loss.backward()


class RecordedPasses:
    """All operations of a pass are recorded once, as CUDA graphs, and then started with one call.

    To start them one after the other, Python needs longer than a GPU needs to compute them. The operations
    are those of `EagerPasses`, and so are their results, dropout included: it follows the seed of the CUDA
    generator. What the network decides in Python, it decides once, when it is recorded. The gradients of the
    parameters keep their place: nobody may set them to None.
    """

    def __init__(self, network: nn.Module, precision: Precision, images: Tensor, labels: Tensor) -> None:
        """Record the passes for batches like `images` and `labels`, whose content does not matter.

        Raises:
            InputError: the network cannot be recorded.
        """
        self.images, self.labels = images.clone(), labels.clone()
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        eager = EagerPasses(network, precision)
        with _unchanged_buffers(network), _own_stream(images.device):
            for _ in range(WARM_UP_PASSES):
                losses, _ = eager.forward(self.images, self.labels)
                self.of_losses = torch.zeros_like(losses)
                torch.autograd.grad(losses, parameters, self.of_losses, allow_unused=True)
            del losses
            with _recording() as self.forward_graph:
                losses, self.logits = eager.forward(self.images, self.labels)
            with _recording(self.forward_graph.pool()) as self.backward_graph:
                gradients = torch.autograd.grad(losses, parameters, self.of_losses, allow_unused=True)
        self.losses = losses.detach().requires_grad_()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Passes`."""
        self.images.copy_(images)
        self.labels.copy_(labels)
        self.forward_graph.replay()
        return self.losses, self.logits

    def backward(self, loss: Tensor) -> None:
        """See `Passes`."""
        (of_losses,) = torch.autograd.grad(loss, self.losses)
        self.of_losses.copy_(of_losses)
        self.backward_graph.replay()


def make_passes(
    network: nn.Module, settings: TrainingSettings, images: Tensor, labels: Tensor, workers: Workers = ALONE
) -> Passes:
    """Return the passes for batches like this one: recorded, where settings and device allow it."""
    if settings.gradient_checkpointing:
        checkpoint_blocks(network)
    # Processes that share a batch talk to each other within a pass. What is computed a second time must have
    # the same dropout, whose state cannot be read while something is recorded.
    is_recordable = workers.count == 1 and not settings.gradient_checkpointing
    if settings.cuda_graph and images.device.type == "cuda" and is_recordable:
        return RecordedPasses(network, settings.precision, images, labels)
    return EagerPasses(network, settings.precision)


@contextmanager
def _unchanged_buffers(network: nn.Module) -> Iterator[None]:
    """Give the buffers their content back: each pass adds to the statistics of batch norm."""
    buffers = list(network.buffers())
    before = [buffer.clone() for buffer in buffers]
    yield
    with torch.no_grad():
        for buffer, content in zip(buffers, before, strict=True):
            buffer.copy_(content)


@contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    """Work in a stream of its own, as recording wants it."""
    current, own = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    own.wait_stream(current)
    with torch.cuda.stream(own):
        yield
    current.wait_stream(own)


@contextmanager
def _recording(pool: Any = None) -> Iterator[torch.cuda.CUDAGraph]:
    """Record what is started in this context, with memory from the `pool` of another graph.

    Raises:
        InputError: something cannot be recorded.
    """
    graph = torch.cuda.CUDAGraph()
    try:
        # The threads that prepare batches allocate pinned memory meanwhile, which must not disturb.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            yield graph
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise InputError(
            "training.cuda_graph: the passes through this network cannot be recorded as a CUDA graph. The "
            "usual cause is an operation that reads a value from the GPU, such as .item() or a mask as an "
            "index. Set training.cuda_graph: false, or change the network"
        ) from error
