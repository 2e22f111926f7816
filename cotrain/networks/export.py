"""Networks as files for other programs (torch.export and ONNX), and how these differ from the original."""

import copy
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import Dim, ExportedProgram

from cotrain.configuration.sections import InferenceSettings
from cotrain.errors import InputError
from cotrain.networks.network import Network
from cotrain.networks.segmenter import Segmenter

# Names in the exported graph.
INPUT, OUTPUTS = "images", ("classes", "confidence")
# One view of the whole image, in full precision.
PLAIN = InferenceSettings(batch_size=1, precision="float32")
# Tracing would take a batch size of one for a constant.
TRACED_BATCH = 2

# From uint8 RGB (N, 3, H, W) to classes uint8 and confidences float32, both (N, H, W).
Program = Callable[[NDArray[np.uint8]], tuple[NDArray[np.uint8], NDArray[np.float32]]]


def exported(networks: Sequence[Network], height: int, width: int) -> ExportedProgram:
    """Trace the prediction of networks on the CPU, for any number of images of one size.

    The size is fixed: with a free size, tracing does not end for backbones that pad like TensorFlow, such as
    the default one.

    Raises:
        InputError: a network does what torch.export cannot follow.
    """
    # torch.export warns about channels-last weights. The copy keeps the networks as they are.
    segmenter = copy.deepcopy(Segmenter(networks, PLAIN)).cpu().eval().requires_grad_(False)
    segmenter = segmenter.to(memory_format=torch.contiguous_format)
    images = torch.zeros(TRACED_BATCH, 3, height, width, dtype=torch.uint8)
    try:
        return torch.export.export(segmenter, (images,), dynamic_shapes=({0: Dim("batch")},))
    # Show the user all that it says about a network of their own.
    except Exception as error:
        raise InputError(f"the network cannot be exported with torch.export: {error}") from error


def save_program(path: Path, program: ExportedProgram) -> None:
    """Write a traced prediction as .pt2."""
    # On a full disk, torch's own writer ends the process when it is closed.
    memory = io.BytesIO()
    torch.export.save(program, memory)
    path.write_bytes(memory.getbuffer())


def save_onnx(path: Path, program: ExportedProgram) -> None:
    """Write a traced prediction as .onnx, weights included.

    Raises:
        InputError: a network holds an operation that ONNX does not know.
    """
    try:
        model: Any = torch.onnx.export(
            program,
            input_names=[INPUT],
            output_names=OUTPUTS,
            dynamic_shapes=({0: "batch"},),
            dynamo=True,
            verbose=False,
        )
    # Show the user all that it says about a network of their own.
    except Exception as error:
        raise InputError(f"the network cannot be exported to ONNX: {error}") from error
    model.save(path)


def original(networks: Sequence[Network]) -> Program:
    """Return the prediction of the networks as they are."""
    segmenter = Segmenter(networks, PLAIN).cpu().eval()

    def predict(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        with torch.inference_mode():
            classes, confidences = segmenter(torch.from_numpy(images))
        return classes.numpy(), confidences.numpy()

    return predict


def saved_program(path: Path) -> Program:
    """Return the prediction of a .pt2 file."""
    module = torch.export.load(path).module()

    def predict(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        with torch.inference_mode():
            classes, confidences = module(torch.from_numpy(images))
        return classes.numpy(), confidences.numpy()

    return predict


def saved_onnx(path: Path, threads: int) -> Program:
    """Return the prediction of an .onnx file, by onnxruntime on `threads` cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def predict(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        classes, confidences = session.run(OUTPUTS, {INPUT: images})
        return classes, confidences

    return predict


@dataclass(frozen=True)
class Difference:
    """How much two programs differ on some images.

    `confidence` is the largest difference of a pixel's confidence, `classes` the share of pixels whose class
    differs, both in [0, 1]. `confidence` is NaN where one of them computes NaN.
    """

    confidence: float
    classes: float


def difference(one: Program, other: Program, batches: Iterable[NDArray[np.uint8]]) -> Difference:
    """Compare two programs on batches of images, uint8 (N, 3, H, W)."""
    largest, pixels, others = 0.0, 0, 0
    for images in batches:
        (classes, confidences), (other_classes, other_confidences) = one(images), other(images)
        # NumPy's maximum, unlike Python's, does not lose a NaN.
        largest = float(np.maximum(largest, np.abs(confidences - other_confidences).max()))
        pixels += classes.size
        others += int((classes != other_classes).sum())
    return Difference(largest, others / pixels)
