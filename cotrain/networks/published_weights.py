"""Weights that others published for the paper's network, under our names.

Two sources are known, both of Detectron2: its ImageNet backbone `R-103.pkl`, a pickle of NumPy arrays, and
the checkpoints of the authors (`model_final.pth`), which hold the whole network. Tensors are matched by name
and shape, never by their order.
"""

import re
from collections.abc import Mapping

from torch import Tensor

# Detectron2's normalisation layers are inside their convolution; here they follow it.
NORM = r"norm\.(weight|bias|running_mean|running_var)"
# (pattern of the published name, our name). A convolution and its normalisation are 0 and 1 of a block.
NAMES = [
    (r"backbone\.stem\.conv1\.weight", r"backbone.conv1.0.weight"),
    (rf"backbone\.stem\.conv1\.{NORM}", r"backbone.conv1.1.\1"),
    (r"backbone\.stem\.conv2\.weight", r"backbone.conv1.3.weight"),
    (rf"backbone\.stem\.conv2\.{NORM}", r"backbone.conv1.4.\1"),
    (r"backbone\.stem\.conv3\.weight", r"backbone.conv1.6.weight"),
    (rf"backbone\.stem\.conv3\.{NORM}", r"backbone.bn1.\1"),
    (r"backbone\.res(\d)\.(\d+)\.conv(\d)\.weight", r"backbone.layer{stage}.\2.conv\3.weight"),
    (rf"backbone\.res(\d)\.(\d+)\.conv(\d)\.{NORM}", r"backbone.layer{stage}.\2.bn\3.\4"),
    (r"backbone\.res(\d)\.(\d+)\.shortcut\.weight", r"backbone.layer{stage}.\2.downsample.0.weight"),
    (rf"backbone\.res(\d)\.(\d+)\.shortcut\.{NORM}", r"backbone.layer{stage}.\2.downsample.1.\3"),
    (r"sem_seg_head\.decoder\.res2\.project_conv\.weight", r"low_level.0.weight"),
    (rf"sem_seg_head\.decoder\.res2\.project_conv\.{NORM}", r"low_level.1.\1"),
    (r"sem_seg_head\.decoder\.res2\.fuse_conv\.(\d)\.weight", r"decoder.\1.0.weight"),
    (rf"sem_seg_head\.decoder\.res2\.fuse_conv\.(\d)\.{NORM}", r"decoder.\1.1.\2"),
    (r"sem_seg_head\.decoder\.res5\.project_conv\.convs\.([0-3])\.weight", r"pyramid.branches.\1.0.weight"),
    (rf"sem_seg_head\.decoder\.res5\.project_conv\.convs\.([0-3])\.{NORM}", r"pyramid.branches.\1.1.\2"),
    (r"sem_seg_head\.decoder\.res5\.project_conv\.convs\.4\.1\.(weight|bias)", r"pyramid.pooling.0.\1"),
    (r"sem_seg_head\.decoder\.res5\.project_conv\.project\.weight", r"pyramid.merge.0.weight"),
    (rf"sem_seg_head\.decoder\.res5\.project_conv\.project\.{NORM}", r"pyramid.merge.1.\1"),
    (r"sem_seg_head\.predictor\.(weight|bias)", r"classifier.\1"),
]

# The first tensor of the network, and what a checkpoint puts before its name.
FIRST = re.compile(r"(.*?)(?:backbone\.)?stem\.conv1\.weight")


def our_name(published: str) -> str | None:
    """Return the name of a published tensor within our DeepLabV3+, None if we have no such tensor.

    A file that holds only Detectron2's backbone lacks the prefix `backbone.`.
    """
    if published.startswith(("stem.", "res")):
        published = f"backbone.{published}"
    for pattern, ours in NAMES:
        match = re.fullmatch(pattern, published)
        if match:
            # Detectron2 counts its stages from the stem, timm from the first stage of blocks.
            stage = str(int(match[1]) - 1) if "{stage}" in ours else ""
            return match.expand(ours.replace("{stage}", stage))
    return None


def renamed(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return (tensors under our names, published names that have no counterpart here).

    What stands before all published names, such as `model.` or `model.module.`, is left out, and so is all
    that lies elsewhere in the file: the state of an optimiser and the like.
    """
    prefixes = {match[1] for match in map(FIRST.fullmatch, tensors) if match}
    [prefix] = prefixes if len(prefixes) == 1 else [""]
    published = {name.removeprefix(prefix): of for name, of in tensors.items() if name.startswith(prefix)}
    our_names = {name: our_name(name) for name in published}
    counterparts = {ours: published[name] for name, ours in our_names.items() if ours is not None}
    return counterparts, sorted(name for name, ours in our_names.items() if ours is None)
