"""Evaluate a model on labelled images, from its weights or from the shards of its predictions.

in:  a manifest of images with labels of train ids; a model, given by its folder or weights file (the
     probabilities of several models are averaged), or all shards that predict wrote for these images
out: OUTPUT/scores.json, OUTPUT/confusion.tsv, OUTPUT/confusion.png and, with --write-outputs,
     OUTPUT/images/*.png (predicted train ids) and OUTPUT/coloured/*.jpg (overlays with a legend); with
     --sample, OUTPUT/sample.h5, the predictions of some of the images, as predict writes them

The step score_labels scores label files that any other tool has written.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.configuration.sections import Views, shared_values
from cotrain.data.background import Background
from cotrain.data.files import written_whole
from cotrain.data.images import read_image, read_label, write_image, write_label
from cotrain.data.label_files import check_palette
from cotrain.data.label_spaces import LabelSpace, label_space
from cotrain.data.manifests import Item, read_labelled, read_manifest
from cotrain.data.pairs import check_labels
from cotrain.data.predictions import (
    Origin,
    PredictionReader,
    PredictionWriter,
    hash_of_images,
    hash_of_model,
)
from cotrain.errors import InputError
from cotrain.evaluation.scores import confusion_matrix
from cotrain.progress import Progress
from cotrain.reporting.pictures import overlay, with_legend
from cotrain.reporting.score_files import write_score_files
from workflow_scripts.command_line import (
    add_class_subsets_argument,
    add_inference_arguments,
    add_model_argument,
    add_output_argument,
    inference_settings,
    logger,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.evaluate --name final --model results/demo/models/final \\
    --labelled results/demo/data/camera_test/train_ids.tsv --output by_hand/evaluation"""

SAMPLE = "sample.h5"


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--name", default="predictions", help="name of the model, for the score file")
    add_model_argument(parser, required=False)
    parser.add_argument(
        "--predictions",
        type=Path,
        nargs="+",
        help="in place of --model: all .h5 files that predict wrote of the labelled images, with --settings",
    )
    parser.add_argument("--label-space", help="with --predictions: their label space")
    parser.add_argument(
        "--labelled", type=Path, required=True, help="manifest of images with labels of train ids"
    )
    add_inference_arguments(parser)
    parser.add_argument("--write-outputs", action="store_true", help="also write predictions and overlays")
    parser.add_argument("--sample", type=Path, help="manifest of images whose predictions are kept")
    add_class_subsets_argument(parser)
    add_output_argument(parser, "FOLDER", "folder of the scores")
    options = parse(parser, arguments)
    if (options.model is None) == (options.predictions is None):
        found = "none of them" if options.model is None else "both"
        raise InputError(f"expected either --model or --predictions, found {found}")
    if options.predictions and not options.label_space:
        raise InputError("--label-space: is missing, expected the label space of the predictions")
    if options.predictions and options.temperature:
        raise InputError("--temperature: works only with --model; the confidences of --predictions are fixed")
    if options.predictions and options.allow_code:
        raise InputError("--allow-code: works only with --model; --predictions run no network")
    if options.model and options.label_space:
        raise InputError("--label-space: works only with --predictions; a model has its own label space")

    settings = inference_settings(options.settings)
    items = read_labelled(options.labelled)
    if not items:
        raise InputError(f"--labelled: {options.labelled} lists no image; expected images with labels")
    check_labels(items, options.labelled)
    title = f"evaluate {options.name}"
    outputs = options.output if options.write_outputs else None
    sample = read_manifest(options.sample) if options.sample else []
    strange = {item.id for item in sample} - {item.id for item in items}
    if strange:
        raise InputError(
            f"--sample: {options.sample} has the image {min(strange)}, which {options.labelled} has not"
        )
    if options.predictions:
        space = label_space(options.label_space)
        check_palette(items, space)
        with PredictionReader(options.predictions) as reader:
            reader.check(items, options.labelled, space.classes)
            predictions = ((item, *reader.read(item.id)) for item in items)
            with _kept(options.output, sample, space, reader.origin.model) as keep:
                confusion = _count(items, predictions, space, options.labelled, title, outputs, keep)
    else:
        import torch

        from cotrain.devices import claimed_device
        from cotrain.networks.inference import batches_of_one_size, predict
        from cotrain.networks.weights import load_networks

        networks, space = load_networks(options.model, options.temperature, options.allow_code)
        check_palette(items, space)
        torch.set_num_threads(options.threads)
        batches = batches_of_one_size(items, settings.batch_size)
        model = hash_of_model((*options.model, *options.temperature), settings)
        with (
            claimed_device(options.device, settings.deterministic) as device,
            _kept(options.output, sample, space, model) as keep,
        ):
            predictions = (
                (prediction.item, prediction.classes, prediction.levels)
                for prediction in predict(networks, batches, settings, device, options.threads)
            )
            confusion = _count(items, predictions, space, options.labelled, title, outputs, keep)
    scores = write_score_files(
        options.output,
        model=options.name,
        protocol={"label_space": space.name, **shared_values(Views, settings)},
        images=len(items),
        confusion=confusion,
        classes=space.classes,
        class_subsets=options.class_subsets,
    )
    logger.info("%s: mIoU %.2f %%; %s", options.name, 100 * scores["mean_iou"], options.output)


Keep = Callable[[Item, np.ndarray, np.ndarray], None]


@contextmanager
def _kept(output: Path, sample: Sequence[Item], space: LabelSpace, model: str) -> Iterator[Keep]:
    """Yield what keeps the predictions of the sample's images, if there is a sample."""
    if not sample:
        yield lambda item, classes, levels: None
        return
    wanted = {item.id for item in sample}
    origin = Origin(space.classes, model, hash_of_images(sample), 0, 1)
    with written_whole(output / SAMPLE) as path, PredictionWriter(path, origin) as writer:

        def keep(item: Item, classes: np.ndarray, levels: np.ndarray) -> None:
            if item.id in wanted:
                writer.write(item.id, classes, levels)

        yield keep


def _count(
    items: Sequence[Item],
    predictions: Iterable[tuple[Item, np.ndarray, np.ndarray]],
    space: LabelSpace,
    manifest: Path,
    title: str,
    outputs: Path | None,
    keep: Keep,
) -> NDArray[np.int64]:
    """Return the confusion (C, C + 1) of predicted classes (H, W) with the labels of their items.

    Labels are read while the next image is predicted, and predictions and overlays are written into the
    folder `outputs` if there is one. Raises InputError that names `manifest` for labels that do not fit.
    """
    confusion = np.zeros((space.number_of_classes, space.number_of_classes + 1), np.int64)

    def count(item: Item, classes: np.ndarray, levels: np.ndarray) -> None:
        assert item.label is not None
        keep(item, classes, levels)
        try:
            confusion[:] += confusion_matrix(read_label(item.label), classes, space.number_of_classes)
        except ValueError as error:
            raise InputError(
                f"{manifest}: {item.label} against the prediction of {item.image}: {error} of {space.name}"
            ) from error
        if outputs:
            write_label(outputs / "images" / f"{item.id}.png", classes, space.palette)
            picture = overlay(read_image(item.image), classes, space.palette)
            page = with_legend(picture, space.classes, space.palette)
            write_image(outputs / "coloured" / f"{item.id}.jpg", page)

    with Background() as background, Progress(len(items), "images", title) as progress:
        for item, classes, levels in predictions:
            background.call(count, item, classes, levels)
            progress.advance()
    return confusion


if __name__ == "__main__":
    run(main)
