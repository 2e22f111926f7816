# What jobs ask of a scheduler: memory, time, disk. How much a step needs is in cotrain/configuration/requirements.py;
# here is from which images and which network. A retry asks for more.
from functools import cache

from cotrain.configuration import requirements
from cotrain.configuration.requirements import (
    LARGE_NETWORK,
    UNKNOWN,
    Images,
    images_of_check,
)
from cotrain.data.disk_space import BYTES_A_PIXEL, DECODED, LABEL
from cotrain.data.label_spaces import label_space
from cotrain.data.network_sizes import read_network_sizes

# A job has no use for more, since the disk is then the limit; fewer cores than these are no obstacle.
IMAGE_THREADS = 8
# In MB. A pod writes to the volume; on its own disk are the code and the plugin of the storage.
DISK_OF_POD = 2000
# HDF5 lets one thread read at a time: more than these label no faster.
LABELLING_THREADS = 4
CLASSES = label_space(configuration.label_space).number_of_classes


def needs(of_job):
    """The resources of a rule; `of_job` returns the Needs of a job of this rule."""

    def part(name):
        # A training that was stopped several times, by its time limit say, needs no more than that.
        return lambda wildcards, threads, attempt: min(attempt, 3) * getattr(of_job(wildcards, threads), name)

    disk = DISK_OF_POD if SHARES_ONLY_VOLUME else part("disk")
    return {"mem_mb": part("memory"), "runtime": part("minutes"), "disk_mb": disk}


# Snakemake asks for each resource of each job. A file that is made or changed meanwhile is read again.
read_once = cache(lambda read, path, changed: read(path))


def known_from(read, *names):
    """What `read` returns of a file of the run's data; None as long as it is not there."""
    path = Path(on_this_machine(RUN), "data", *names)
    return read_once(read, path, path.stat().st_mtime_ns) if path.exists() else None


def images_of(dataset):
    """The images of a dataset, from its check; before it, what the configuration says, or a guess."""
    for labels in ("labelled", "images"):
        if found := known_from(images_of_check, dataset, f"{labels}.check.json"):
            return found
    entry = configuration.datasets[dataset]
    if entry.layout == "streets":
        pixels = entry.width * entry.height
        return Images(entry.images, pixels, entry.images * pixels)
    return UNKNOWN


def largest(datasets):
    """Of some datasets the one with most pixels."""
    return max(map(images_of, datasets), key=lambda images: images.total)


def network_of(model):
    """The size of a model's network; before one has been built, that of a large one."""
    found = known_from(read_network_sizes, "networks.json")
    return found[plan.network_key(model)] if found else LARGE_NETWORK


def images_of_set(images, model):
    """The images of a set that a model predicts."""
    if images.kind == "labelled":
        return images_of(images.dataset)
    step = images.step or model
    target = images_of(plan.target_dataset(step))
    if images.kind == "subset":
        return target.part(plan.stage_of(step).images_per_step)
    if images.kind == "accumulated":
        return target.part(plan.stage_of(step).keep * (step.place + 1))
    return target


# Each of these is for `needs`.


def of_lists(wildcards, threads):
    """A step that opens no image."""
    return requirements.of_lists(largest([*plan.source_datasets, *plan.target_datasets]).number)


def of_rendering(wildcards, threads):
    return requirements.of_images(images_of(wildcards.dataset), threads, written=0.5, processes=True)


def of_dataset(written=LABEL):
    """A step that works on all images of a dataset, and writes so many bytes a pixel."""
    return lambda wildcards, threads: requirements.of_images(images_of(wildcards.dataset), threads, written)


def of_translation(wildcards, threads):
    written = BYTES_A_PIXEL["png"] * configuration.translation.targets_per_image
    return requirements.of_images(images_of(wildcards.dataset), threads, written)


def of_source(wildcards, threads):
    return requirements.of_images(largest(configuration.source), threads)


def of_labelling(wildcards, threads):
    """A step that labels target images from predictions."""
    return requirements.of_images(largest(plan.target_datasets), threads, written=LABEL)


def of_network(wildcards, threads):
    """A step that builds networks and sends hardly an image through them."""
    return requirements.of_prediction(
        LARGE_NETWORK, Images(1, 10**6, 10**6), CLASSES, 1, 1, threads, GPU == 1
    )


def predicting(images, model, settings, threads):
    views = len(settings.scales) * (1 + settings.flip)
    return requirements.of_prediction(
        network_of(model), images, CLASSES, settings.batch_size, views, threads, GPU == 1
    )


def of_prediction(wildcards, threads):
    model, images = ModelName.parse(wildcards.model), ImageSet.parse(wildcards.image_set)
    is_scored = images.kind == "labelled"
    settings = plan.evaluation_settings() if is_scored else plan.prediction_settings()
    found = images_of_set(images, model)
    return predicting(found.part(-(-found.number // SHARDS)), model, settings, threads)


def of_sample(wildcards, threads):
    """It predicts the sample of the target's images."""
    model = ModelName.parse(wildcards.model)
    images = images_of(plan.target_dataset(model)).part(plan.sample_images)
    return predicting(images, model, plan.evaluation_settings(), threads)


def of_photos(wildcards, threads):
    return requirements.of_images(largest(plan.target_datasets).part(plan.sample_images), threads)


def of_evaluation(wildcards, threads):
    images = images_of(wildcards.dataset)
    return predicting(images, ModelName.parse(wildcards.model), plan.evaluation_settings(), threads)


def of_calibration(wildcards, threads):
    model = ModelName.parse(wildcards.model)
    images = largest(plan.sources(model)).part(configuration.prediction.calibration_images)
    return predicting(images, model, plan.prediction_settings(), threads)


def training(model, threads):
    settings = plan.training_settings(plan.settings_name(model))
    datasets = [*plan.sources(model), *([] if model in BASELINES else [plan.target_dataset(model)])]
    return requirements.of_training(
        network_of(model),
        settings.iterations,
        settings.batch_size,
        settings.crop,
        CLASSES,
        max(images_of(dataset).largest for dataset in datasets),
        sum(images_of(dataset).number for dataset in datasets),
        threads,
        PROCESSES,
        GPU == 1,
    )


def of_training(wildcards, threads):
    return training(ModelName.parse(wildcards.model), threads)


def of_estimate(wildcards, threads):
    """It trains and predicts for a moment."""
    one_minute = training(BASELINE, threads)._replace(minutes=2 * requirements.START_MINUTES)
    images = largest(plan.target_datasets).part(16)
    memory = predicting(images, BASELINE, plan.prediction_settings(), threads).memory
    return one_minute._replace(memory=max(memory, one_minute.memory))
