"""Predict class and confidence of every pixel of an image set, or of one shard (part) of it.

in:  a model (the probabilities of several models are averaged); a manifest of images (no labels are read);
     optionally the temperature of each model and an ego-vehicle mask
out: OUTPUT.h5 with class (uint8) and confidence (uint16, linear in [0, 1]) of each image; next to it
     OUTPUT.histogram.npz with `histogram`, int64 (classes, 65536): how many pixels of each class have each
     confidence, without ego-vehicle pixels. The histograms of shards can be added. Both files say which
     model, image set and shard they belong to.

With `class_balance` in the settings, the mean probability of each class is first found on a few images that
are spread over the set, the same for all shards.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from cotrain.adaptation.class_balance import class_factors
from cotrain.adaptation.thresholds import ConfidenceCounter
from cotrain.data.background import Background
from cotrain.data.files import remove_partial, written_whole
from cotrain.data.manifests import read_manifest
from cotrain.data.masks import EgoVehicleMask
from cotrain.data.predictions import (
    Origin,
    PackedPrediction,
    PredictionWriter,
    hash_of_images,
    hash_of_model,
    write_histogram,
)
from cotrain.errors import InputError
from cotrain.progress import Progress
from workflow_scripts.command_line import (
    add_inference_arguments,
    add_mask_argument,
    add_model_argument,
    add_output_argument,
    check_suffix,
    inference_settings,
    new_parser,
    not_negative,
    parse,
    positive,
    run,
)

EXAMPLE = """python -m workflow_scripts.predict --model results/demo/models/baseline \\
    --images by_hand/subset.tsv --output by_hand/predictions/0.h5"""
# So many images give the mean probability of a class to a few per cent.
IMAGES_FOR_MEANS = 32


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    add_model_argument(parser)
    parser.add_argument("--images", type=Path, required=True, help="manifest of the images")
    parser.add_argument("--shard", type=not_negative, default=0, help="which shard this is, from 0")
    parser.add_argument(
        "--shards",
        type=positive,
        default=1,
        help="number of shards that the set is divided into (default: 1)",
    )
    add_inference_arguments(parser)
    add_mask_argument(parser)
    add_output_argument(parser, "FILE", "the .h5 file")
    options = parse(parser, arguments)
    check_suffix(options.output, ".h5")
    if options.shard >= options.shards:
        raise InputError(f"--shard {options.shard}: expected 0 to {options.shards - 1}, less than --shards")
    settings = inference_settings(options.settings)

    import torch

    from cotrain.devices import claimed_device
    from cotrain.networks.inference import Prediction, batches_of_one_size, mean_probabilities, predict
    from cotrain.networks.weights import load_networks

    listed = read_manifest(options.images)
    # Shards get whole batches: an image is then always predicted beside the same others, and rounded alike.
    batches = batches_of_one_size(listed, settings.batch_size)[options.shard :: options.shards]
    networks, space = load_networks(options.model, options.temperature, options.allow_code)
    model = hash_of_model((*options.model, *options.temperature), settings)
    origin = Origin(space.classes, model, hash_of_images(listed), options.shard, options.shards)
    mask = EgoVehicleMask(options.ego_vehicle_mask)
    # A killed process leaves up to gigabytes.
    remove_partial(options.output)
    counter = ConfidenceCounter(space.number_of_classes)
    torch.set_num_threads(options.threads)
    with (
        claimed_device(options.device, settings.deterministic) as device,
        written_whole(options.output) as path,
        PredictionWriter(path, origin) as writer,
        ThreadPoolExecutor(options.threads) as packing,
        Background() as writing,
        Background() as counting,
        Progress(sum(map(len, batches)), "images", f"predict {options.output}") as progress,
    ):

        def write(packed: Future[PackedPrediction]) -> None:
            writer.write_packed(packed.result())

        def count(prediction: Prediction) -> None:
            ignored = mask.of_size(*prediction.classes.shape)
            counter.add(prediction.classes, prediction.levels, ignored)

        factors = None
        if settings.class_balance and batches:
            number = min(IMAGES_FOR_MEANS, len(listed))
            few = [listed[place * len(listed) // number] for place in range(number)]
            means = mean_probabilities(networks, few, settings, device, mask)
            factors = class_factors(means, settings.class_balance)
        for prediction in predict(networks, batches, settings, device, options.threads, factors=factors):
            one = (prediction.item.id, prediction.classes, prediction.levels)
            writing.call(write, packing.submit(writer.packed, *one))
            counting.call(count, prediction)
            progress.advance()
    write_histogram(options.output.with_suffix(".histogram.npz"), counter.histogram(), origin)


if __name__ == "__main__":
    run(main)
