import pytest
import torch
from msgspec.structs import replace
from torch import nn

from benchmarks.networks import NETWORKS
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.network import Network
from cotrain.training.checkpointing import checkpoint_blocks
from cotrain.training.losses import hard_pixel_loss
from cotrain.training.passes import EagerPasses, RecordedPasses, make_passes

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")
CLASSES = 5


class Block(nn.Module):
    """Convolution, batch norm and dropout; counts how often it is computed."""

    def __init__(self, inputs):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(inputs, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.drop, self.times = nn.Dropout(0.4), 0

    def forward(self, x):
        self.times += 1
        return self.drop(self.norm(self.convolution(x)).relu())


def own_network():
    """Return a network of two blocks in a row."""
    blocks = nn.Sequential(Block(3), Block(6))
    return Network(nn.Sequential(blocks, nn.Conv2d(6, CLASSES, 1)), (127.0,) * 3, (60.0,) * 3)


def built(name):
    """Return a network of the configuration, with dropout, for pictures of 64×64."""
    torch.manual_seed(3)
    if name == "own":
        return own_network().train()
    return build_network(replace(NETWORKS[name], dropout=0.3), CLASSES, 0, pretrained=False).train()


def batch(device="cpu", side=64):
    """Return a random batch of two images and labels, some of them void."""
    rng = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8, generator=rng)
    labels = torch.randint(0, CLASSES, (2, side, side), generator=rng)
    labels[:, :9] = 255
    return images.to(device), labels.to(device)


def steps_of(network, passes, device="cpu", number=3):
    """Take steps of plain gradient descent; return losses, gradients, and what the network then holds."""
    images, labels = batch(device)
    found = []
    for iteration in range(number):
        torch.manual_seed(iteration)
        losses, logits = passes.forward(images, labels)
        passes.backward(hard_pixel_loss(losses, 100 * (iteration + 1)))
        gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
        found += [losses.detach().clone(), logits.clone(), *gradients]
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.grad is not None:
                    parameter -= 0.01 * parameter.grad
    return found + [tensor.clone() for tensor in network.state_dict().values()]


def is_same(first, second):
    return len(first) == len(second) and all(map(torch.equal, first, second))


@pytest.mark.parametrize("name", ["own", "the demo's", "DINOv2 S/14"])
def test_checkpointing_changes_nothing(name):
    torch.set_num_threads(1)
    plain, checkpointed = built(name), built(name)
    names = list(plain.state_dict())
    checkpoint_blocks(checkpointed)
    assert list(checkpointed.state_dict()) == names
    expected = steps_of(plain, EagerPasses(plain, "float32"), number=2)
    assert is_same(steps_of(checkpointed, EagerPasses(checkpointed, "float32"), number=2), expected)


def test_checkpointed_blocks_are_computed_twice_and_all_of_them(training_settings):
    network = own_network()
    images, labels = batch()
    settings = replace(training_settings, gradient_checkpointing=True)
    passes = make_passes(network, settings, images, labels)
    losses, _ = passes.forward(images, labels)
    assert [block.times for block in network.model[0]] == [1, 1]
    passes.backward(losses.mean())
    assert [block.times for block in network.model[0]] == [2, 2]
    # In evaluation there is no gradient, and nothing to compute again.
    with torch.inference_mode():
        network.eval()(images)
    assert [block.times for block in network.model[0]] == [3, 3]


def test_what_is_kept_for_the_backward_pass_shrinks():
    def kept(network):
        sizes = []

        def pack(tensor):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            EagerPasses(network, "float32").forward(*batch())
        return sum(sizes)

    plain, checkpointed = built("the demo's"), built("the demo's")
    checkpoint_blocks(checkpointed)
    assert kept(checkpointed) < 0.5 * kept(plain)


def test_the_loss_of_void_pixels_is_zero_and_logits_have_the_size_of_labels():
    network = built("the demo's")
    images, labels = batch()
    losses, logits = EagerPasses(network, "float32").forward(images, labels)
    assert logits.shape == (2, CLASSES, 64, 64)
    assert not logits.requires_grad
    assert not losses.view(2, 64, 64)[:, :9].any()
    # The first logits are near zero: the loss is the logarithm of the number of classes.
    assert losses.view(2, 64, 64)[:, 9:].mean().item() == pytest.approx(1.609, abs=0.05)


def test_on_a_cpu_nothing_is_recorded(training_settings):
    assert training_settings.cuda_graph
    assert isinstance(make_passes(own_network(), training_settings, *batch()), EagerPasses)


@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
# Not of a transformer: the gradients of its attention and of its resized positions add up in any order.
@pytest.mark.parametrize("name", ["own", "the demo's"])
def test_recorded_passes_compute_what_eager_ones_do(name, precision, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        eager, recorded = built(name).cuda(), built(name).cuda()
        buffers = [buffer.clone() for buffer in recorded.buffers()]
        passes = RecordedPasses(recorded, precision, *batch("cuda"))
        assert is_same(list(recorded.buffers()), buffers)
        expected = steps_of(eager, EagerPasses(eager, precision), "cuda")
        assert is_same(steps_of(recorded, passes, "cuda"), expected)
    finally:
        torch.use_deterministic_algorithms(False)


@needs_cuda
def test_recording_uses_the_memory_of_one_pass():
    network = built("the demo's").cuda()
    images, labels = batch("cuda", 512)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    eager = EagerPasses(network, "float32")
    losses, _ = eager.forward(images, labels)
    eager.backward(losses.mean())
    del losses
    alone = torch.cuda.max_memory_reserved()
    # What is kept for one stream is not used in another.
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    RecordedPasses(network, "float32", images, labels)
    assert torch.cuda.max_memory_reserved() < 1.3 * alone


@needs_cuda
def test_a_network_that_reads_values_from_the_gpu_is_told_what_to_set():
    # The last test of this file: after a recording that failed, dropout fails in this process.
    class Reading(nn.Conv2d):
        def forward(self, x):
            return super().forward(x) * (1 if x.mean().item() > 0 else 2)

    network = Network(Reading(3, CLASSES, 1), (127.0,) * 3, (60.0,) * 3).cuda().train()
    with pytest.raises(InputError, match=r"training\.cuda_graph: false"):
        RecordedPasses(network, "float32", *batch("cuda"))
