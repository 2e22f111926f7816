"""Use a model: segment images, or a video.

in:  the folder of a model or its weights file (the probabilities of several models are averaged); a folder of
     .png and .jpg images, one such image, or a video file
out: for images OUTPUT/labels/NAME.png (train ids, which viewers show in colour) and OUTPUT/overlays/NAME.jpg;
     for a video OUTPUT/NAME.mp4 with the overlay, and with --write-labels OUTPUT/labels/000000.png, …
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from cotrain.data.background import Background
from cotrain.data.files import refuse_overwriting, written_whole
from cotrain.data.images import image_size, write_image, write_label
from cotrain.data.label_spaces import LabelSpace
from cotrain.data.layouts import IMAGE_SUFFIXES
from cotrain.data.lists import read_folder
from cotrain.data.manifests import Item
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.reporting.pictures import overlay
from workflow_scripts.command_line import (
    add_inference_arguments,
    add_model_argument,
    add_output_argument,
    inference_settings,
    logger,
    new_parser,
    parse,
    run,
    share,
)

EXAMPLE = """python -m workflow_scripts.segment --model results/demo/models/final \\
    --input results/demo/data/camera_test/scenes/images --output by_hand/segmented"""
DEFAULT_FRAMES_PER_SECOND = 25.0


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    add_model_argument(parser)
    parser.add_argument("--input", type=Path, required=True, help="folder of images, an image or a video")
    parser.add_argument("--opacity", type=share, default=0.5, help="of the colours, 0 to 1 (default: 0.5)")
    parser.add_argument(
        "--write-labels", action="store_true", help="for a video: also write the label of each frame"
    )
    add_inference_arguments(parser)
    add_output_argument(parser, "FOLDER", "folder to write into")
    options = parse(parser, arguments)
    if not options.input.exists():
        raise InputError(f"{options.input}: there is no such folder, image or video")
    images = None
    if options.input.is_dir():
        images = [_item(path) for path in read_folder(options.input, IMAGE_SUFFIXES)]
    elif options.input.suffix.lower() in IMAGE_SUFFIXES:
        images = [_item(options.input)]
    if images is None:
        refuse_overwriting([options.output / f"{options.input.stem}.mp4"], [options.input])
    else:
        outputs = [
            options.output / folder / f"{item.id}{suffix}"
            for item in images
            for folder, suffix in (("labels", ".png"), ("overlays", ".jpg"))
        ]
        refuse_overwriting(outputs, [item.image for item in images])

    import torch

    from cotrain.devices import claimed_device
    from cotrain.networks.inference import predict, predict_images
    from cotrain.networks.weights import load_networks

    networks, space = load_networks(options.model, options.temperature)
    settings = inference_settings(options.settings)
    torch.set_num_threads(options.threads)
    with claimed_device(options.device) as device:
        if images is not None:
            predictions = predict(networks, images, settings, device)
            _write_images(
                ((prediction.item, prediction.image, prediction.classes) for prediction in predictions),
                space,
                options.output,
                opacity=options.opacity,
                number=len(images),
                title=f"segment {options.input}",
            )
        else:
            for network in networks:
                network.to(device).eval()

            def labels_of(batch: list[np.ndarray]) -> np.ndarray:
                return predict_images(networks, np.stack(batch), settings, device)[0]

            _segment_video(
                options.input,
                labels_of,
                space,
                options.output,
                opacity=options.opacity,
                write_labels=options.write_labels,
                batch_size=settings.batch_size,
            )
    logger.info("written to %s", options.output)


def _item(image: Path) -> Item:
    return Item(image.stem, image, *image_size(image))


def _write_images(
    predictions: Iterable[tuple[Item, np.ndarray, np.ndarray]],
    space: LabelSpace,
    output: Path,
    *,
    opacity: float,
    number: int,
    title: str,
) -> None:
    """Write label and overlay of each (item, image, classes) while the next images are predicted."""

    def write(item: Item, image: np.ndarray, label: np.ndarray) -> None:
        write_label(output / "labels" / f"{item.id}.png", label, space.palette)
        picture = overlay(image, label, space.palette, opacity)
        write_image(output / "overlays" / f"{item.id}.jpg", picture)

    with Background() as background, Progress(number, "images", title) as progress:
        for prediction in predictions:
            background.call(write, *prediction)
            progress.advance()


def _segment_video(
    path: Path,
    labels_of: Callable[[list[np.ndarray]], np.ndarray],
    space: LabelSpace,
    output: Path,
    *,
    opacity: float,
    write_labels: bool,
    batch_size: int,
) -> None:
    """Write the video with an overlay on each frame, and with `write_labels` the label of each."""
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise InputError(
            f"{path}: neither a folder of images nor a video that can be read. If the recording or the copy "
            "of a video was cut off, it may lack its index, which is at the end of MP4 and MOV files"
        )
    expected = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    rate = video.get(cv2.CAP_PROP_FPS) or DEFAULT_FRAMES_PER_SECOND
    width, height = (int(video.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    done = 0
    with (
        written_whole(output / f"{path.stem}.mp4") as temporary,
        Progress(max(expected, 1), "frames", f"segment {path}") as progress,
    ):
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
        if not writer.isOpened():
            raise InputError(
                f"{output}: a video of {width} × {height} pixels and {rate:g} frames a second cannot "
                "be written as MP4"
            )
        try:
            frames = _frames(video)
            while batch := list(islice(frames, batch_size)):
                for frame, label in zip(batch, labels_of(batch), strict=True):
                    picture = overlay(frame, label, space.palette, opacity)
                    writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
                    if write_labels:
                        write_label(output / "labels" / f"{done:06d}.png", label, space.palette)
                    done += 1
                    progress.advance()
        finally:
            writer.release()
            video.release()
        if done == 0:
            raise InputError(f"{path}: the video holds no frame that can be read")
    if done < expected:
        logger.warning(
            "%s: the video ends early: %d of %d frames could be read, so it may be cut off or damaged; "
            "what was read is segmented",
            path,
            done,
            expected,
        )


def _frames(video: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """Yield the frames as RGB (H, W, 3) uint8."""
    while True:
        found, frame = video.read()
        if not found:
            return
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


if __name__ == "__main__":
    run(main)
