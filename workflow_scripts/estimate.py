"""Say how long a run will take and how much memory a training needs, before it starts.

It measures on the device that the run would use. For each network, it measures training iterations on random
images, and the prediction of target images at their real size. It also measures how long it takes to cut
crops from the real source images. The times of all trainings and labellings in --work are then added up, as
if they ran one after the other. If several processes share each batch, one of them is measured with its
share. Evaluations count like labellings, even if evaluation.protocol differs. Small parts are left out:
reading and writing labels, and the communication between processes.
"""

from pathlib import Path

import msgspec

from cotrain.configuration.reading import read_settings
from cotrain.configuration.run_plan import Work
from cotrain.configuration.sections import TrainingSettings
from cotrain.data.files import write_text
from cotrain.data.label_spaces import label_space
from cotrain.data.manifests import read_manifest
from cotrain.errors import InputError
from cotrain.progress import Progress
from workflow_scripts.command_line import (
    add_gpus_per_training_argument,
    add_inference_arguments,
    add_label_space_argument,
    add_output_argument,
    inference_settings,
    new_parser,
    parse,
    run,
)

EXAMPLE = """python -m workflow_scripts.estimate --label-space cityscapes7 \\
    --training results/demo/settings/training/*.json --work by_hand/work.json \\
    --source results/demo/data/game/train_ids.tsv --images results/demo/data/camera/images.tsv \\
    --output by_hand/estimate.txt"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--training",
        type=Path,
        nargs="+",
        required=True,
        help="settings of trainings; --work refers to them by their file names without .json",
    )
    parser.add_argument("--work", type=Path, required=True, help="file with all trainings and labellings")
    add_label_space_argument(parser)
    parser.add_argument("--source", type=Path, nargs="+", required=True, help="manifests with labels")
    parser.add_argument("--images", type=Path, required=True, help="manifest of the target's images")
    add_inference_arguments(parser)
    add_gpus_per_training_argument(parser)
    add_output_argument(parser, "FILE", "the text file")
    options = parse(parser, arguments)
    space, target = label_space(options.label_space), read_manifest(options.images)
    if not target:
        raise InputError(f"{options.images}: lists no image")
    trainings = {path.stem: read_settings(path, TrainingSettings) for path in options.training}
    work, inference = read_settings(options.work, Work), inference_settings(options.settings)
    for amount in (*work.trainings, *work.labellings):
        if amount.settings_name not in trainings:
            raise InputError(
                f"{options.work}: {amount.what!r} has the settings {amount.settings_name!r}, expected one of "
                f"{', '.join(trainings)}"
            )
    first = next(iter(trainings.values()))
    processes = options.gpus_per_training
    if first.batch_size % processes:
        raise InputError(
            f"--gpus-per-training: found {processes}, expected a divisor of the {first.batch_size} crops of "
            "a batch"
        )

    import torch

    from cotrain.devices import claimed_device
    from cotrain.training.batches import loader_threads
    from cotrain.training.estimate import Speed, crops_read, measured_seconds_a_crop, measured_speed, report
    from cotrain.training.guidance import peak_memory_mib
    from cotrain.training.parallel import Workers

    torch.set_num_threads(options.threads)
    share = len(Workers(count=processes).slots(first.batch_size))
    speeds: dict[str, Speed] = {}
    number = len({msgspec.json.encode(settings.network) for settings in trainings.values()}) + 1
    with (
        claimed_device(options.device, first.deterministic) as device,
        Progress(number, "measurements", "estimate") as progress,
    ):
        for name, settings in trainings.items():
            # Stages differ in their data; most share one network, whose speed is measured once.
            same = [other for other in speeds if trainings[other].network == settings.network]
            if same:
                speeds[name] = speeds[same[0]]
                continue
            speeds[name] = measured_speed(name, settings, share, space, target, inference, device)
            progress.advance(f"the network of {name}")
        memory = peak_memory_mib(device)
        threads = loader_threads(options.threads, device.type)
        seconds_a_crop = measured_seconds_a_crop(first, space, options.source) / threads / processes
        progress.advance("making batches")
        device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

    of_processes = f"{processes} processes, each " if processes > 1 else ""
    lines = [f"{of_processes}on {device_name}, {memory / 1024:.1f} GiB at most:"]
    seconds_an_iteration = {}
    for name, settings in trainings.items():
        speed, seconds_a_batch = speeds[name], crops_read(settings) * seconds_a_crop
        seconds_an_iteration[name] = max(speed.seconds_a_step, seconds_a_batch)
        limit = "making batches" if seconds_a_batch > speed.seconds_a_step else "the network"
        lines.append(
            f"{name}: {1 / seconds_an_iteration[name]:.2f} iterations a second, limited by {limit} "
            f"({1000 * speed.seconds_a_step:.0f} ms a step, {1000 * seconds_a_batch:.0f} ms a batch); "
            f"{1 / speed.seconds_an_image:.1f} images labelled a second"
        )
    seconds_an_image = {name: speed.seconds_an_image for name, speed in speeds.items()}
    text = report(work, len(target), seconds_an_iteration, seconds_an_image)
    text += "\n" + "\n".join(lines) + "\n"
    write_text(options.output, text)
    print(text)


if __name__ == "__main__":
    run(main)
