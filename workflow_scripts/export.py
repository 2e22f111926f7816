"""Export a model for other programs: torch.export or ONNX, compared with the original on real images.

in:  the folder of a model or its weights file (the probabilities of several models are averaged); images for
     the comparison
out: OUTPUT/model.pt2 (torch.export) and with --formats pt2 onnx also OUTPUT/model.onnx. They map images,
     uint8 RGB (N, 3, HEIGHT, WIDTH), to classes (train ids, uint8) and confidence (their probabilities,
     float32), both (N, HEIGHT, WIDTH). OUTPUT/model.json holds classes, colours, and how much each file
     differs from the original.

Any number N of images works, but HEIGHT and WIDTH are fixed. ONNX needs three packages more, which a message
names.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.data.files import sha256_of, write_json, written_whole
from cotrain.data.images import read_image
from cotrain.errors import InputError
from workflow_scripts.command_line import (
    add_model_argument,
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    positive,
    run,
    share,
)

EXAMPLE = """python -m workflow_scripts.export --model results/demo/models/final \\
    --images results/demo/data/camera_test/scenes/images/0000*.jpg --output exported"""
FORMATS = ("pt2", "onnx")
# What ONNX files are written and compared with.
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# Where two classes are equally likely, rounding decides; elsewhere no pixel may change its class.
SHARE_OF_OTHER_CLASSES = 0.001


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    add_model_argument(parser)
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="image files to compare on")
    parser.add_argument(
        "--height", type=positive, help="of the exported input (default: that of the first image)"
    )
    parser.add_argument(
        "--width", type=positive, help="of the exported input (default: that of the first image)"
    )
    parser.add_argument(
        "--tolerance", type=share, default=0.001, help="largest difference of a confidence (default 0.001)"
    )
    parser.add_argument(
        "--formats", nargs="+", choices=FORMATS, default=["pt2"], help="what to write (default: pt2)"
    )
    add_threads_argument(parser, default=1)
    add_output_argument(parser, "FOLDER", "folder to write into")
    options = parse(parser, arguments)
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if "onnx" in options.formats and missing:
        raise InputError(
            f"--formats onnx: needs packages that are not installed: pip install {' '.join(missing)}"
        )
    if (options.height is None) != (options.width is None):
        raise InputError("--height and --width: found one of them, expected both or none")
    size = (options.height, options.width) if options.height else None
    images = _read_images(options.images, size)

    import torch

    from cotrain.networks.export import (
        INPUT,
        OUTPUTS,
        Program,
        difference,
        exported,
        original,
        save_onnx,
        save_program,
        saved_onnx,
        saved_program,
    )
    from cotrain.networks.weights import load_networks

    torch.set_num_threads(options.threads)
    networks, space = load_networks(options.model, options.temperature, options.allow_code)
    height, width = images.shape[2:]
    # Each alone and two at once: the number of images must be free.
    batches = [*np.split(images, len(images)), images[[0, -1]]]
    program = exported(networks, height, width)
    differences = {}
    ways: dict[str, tuple[Callable[..., None], Callable[[Path], Program]]] = {
        "pt2": (save_program, saved_program),
        "onnx": (save_onnx, lambda path: saved_onnx(path, options.threads)),
    }
    for kind, (save, load) in ways.items():
        name = f"model.{kind}"
        if kind not in options.formats:
            if (options.output / name).exists():
                logger.warning(
                    "warning: %s is of an earlier call, perhaps of another model; model.json is not about it",
                    options.output / name,
                )
            continue
        with written_whole(options.output / name) as path:
            save(path, program)
            deviation = difference(original(networks), load(path), batches)
            summary = (
                f"{name}: confidences differ from the original by up to {deviation.confidence:.1e}, "
                f"{100 * deviation.classes:.4f} % of the pixels have another class"
            )
            # Not "greater than": that is false of NaN as well.
            if not (
                deviation.confidence <= options.tolerance and deviation.classes <= SHARE_OF_OTHER_CLASSES
            ):
                raise InputError(
                    f"{summary}; expected at most {options.tolerance:g} and "
                    f"{100 * SHARE_OF_OTHER_CLASSES:g} %. The file was not written"
                )
        logger.info("%s", summary)
        differences[name] = {"confidence": deviation.confidence, "share_of_other_classes": deviation.classes}
    write_json(
        options.output / "model.json",
        {
            "label_space": space.name,
            "classes": list(space.classes),
            "palette": [list(colour) for colour in space.palette],
            "input": {
                "name": INPUT,
                "type": "uint8",
                "shape": ["N", 3, height, width],
                "channels": "RGB, 0 to 255",
            },
            "outputs": [
                {"name": OUTPUTS[0], "type": "uint8", "shape": ["N", height, width], "what": "train ids"},
                {
                    "name": OUTPUTS[1],
                    "type": "float32",
                    "shape": ["N", height, width],
                    "what": "probability of the class, 0 to 1",
                },
            ],
            "weights": {str(path): sha256_of(path) for path in options.model},
            "temperatures": [network.temperature for network in networks],
            "compared_on": [str(path) for path in options.images],
            "differences": differences,
        },
    )
    logger.info("written to %s", options.output)


def _read_images(paths: Sequence[Path], size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Return images as uint8 (N, 3, H, W), resized to `size` (H, W) or that of the first image."""
    images = [read_image(path) for path in paths]
    height, width = size or images[0].shape[:2]
    resized = [
        image
        if image.shape[:2] == (height, width)
        else cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        for image in images
    ]
    return np.ascontiguousarray(np.stack(resized).transpose(0, 3, 1, 2))


if __name__ == "__main__":
    run(main)
