# Where an artefact lies, and which files a job is made from. What a run consists of is in RunPlan.
import shlex
import tempfile

from cotrain.configuration.names import (
    BASELINE,
    BASELINES,
    FINAL,
    ImageSet,
    Labelling,
    ModelName,
)
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.settings_files import (
    WHOLE,
    files_of_images,
    files_of_meaning,
    is_definition,
    may_have_labels,
    settings_named,
    settings_names,
    settings_text,
    write_settings,
)
from workflow_scripts.command_line import flags

plan = RunPlan(configuration)

RUN = f"results/{configuration.run}"
# Declared by no rule: Snakemake removes what a killed job declares, and this is what resumes it.
STATE = f"state/{configuration.run}"
GPU = 0 if configuration.device == "cpu" else 1
THREADS = configuration.threads_per_training
PROCESSES = configuration.gpus_per_training
# Quoted for the shell: it may be the path of a user's file.
LABEL_SPACE = shlex.quote(configuration.label_space)
SHARDS = configuration.prediction.shards
# Whether the branches label all images together for the final model.
IS_ENSEMBLE = configuration.final.labels == "ensemble"
TARGET_IMAGES = f"{RUN}/data/{configuration.target}/images.tsv"
# How many pixels of each class the source has.
SOURCE_CHECKS = [f"{RUN}/data/{dataset}/labelled.check.json" for dataset in plan.source_datasets]
# What the checks have found, for those that show it.
CHECKS = f"{RUN}/data/checked.json"
# Nothing is translated or trained before all checks are passed. One file, and an ancient one: another
# report (of the upper bound's labels, say) must not make again what is finished.
CHECKED = ancient(CHECKS)


# What Snakemake has read, for the step `write_settings`. No job makes this file: all others would wait for it.
TEMPORARY = tempfile.TemporaryDirectory(prefix="cotrain-")
CONFIGURATION = f"{TEMPORARY.name}/configuration.json"
write_settings(Path(CONFIGURATION), configuration)


def users_file(path):
    """A file of the user's, if there is one: neither a module's prefix nor a storage is for it, but for what the
    run makes. Not `local`: without a shared file system, Snakemake runs jobs with such inputs itself.
    """
    if not path:
        return []
    refuse_relative(path, "the configuration names a file")
    return flag(path, PATH_MODIFIER_FLAG)


EGO_VEHICLE_MASK = users_file(configuration.ego_vehicle_mask)


def any_of(names):
    return "|".join(map(str, names))


# The pages of photos: a whole run has the last models of all stages on it, a named target those that it makes.
PHOTO_SHEETS = {
    "photos": "final",
    **{f"photos_{stage}": stage for stage in ("baseline", "self_training", "co_training")},
}


STEPS, DATASETS = any_of(plan.steps), any_of(configuration.datasets)


# Only names that this run has: with others, rules would ask for models without end.
wildcard_constraints:
    dataset=DATASETS,
    labels="images|labelled",
    model=any_of(plan.known_models),
    step=STEPS,
    cycle=r"\d\d",
    round=r"\d\d",
    image_set=rf"target|accumulated|labelled/({DATASETS})|subset/({STEPS})",
    labelling=rf"({STEPS})(/relabelled)?|ensemble/[ab]",
    shard=r"\d+",
    settings=any_of([WHOLE, *settings_names(configuration)]),
    view=rf"images(_b)?|labelled/({DATASETS})",
    sheet=any_of(PHOTO_SHEETS),


def flags_of_inputs(*names):
    """A function of a job: a flag for each of these inputs that it has."""
    return lambda wildcards, input: flags(**{name: input.get(name) for name in names})


def folder_of_output(wildcards, output):
    return os.path.dirname(output[0])


def settings(name):
    """The file with the settings of a step."""
    return f"{RUN}/settings/{name}.json"


# ------------------------------------------------------------------------------------------- data


def scenes_of(wildcards):
    is_rendered = configuration.datasets[wildcards.dataset].layout == "streets"
    return f"{RUN}/data/{wildcards.dataset}/scenes/scenes.tsv" if is_rendered else []


def list_files(wildcards):
    """The list files that a dataset is read from; its label list only where labels are wanted."""
    with_labels = wildcards.labels == "labelled"
    return [users_file(path) for path in files_of_images(configuration, wildcards.dataset, with_labels)]


def label_definitions(wildcards):
    """The user's files that say what a dataset's labels mean."""
    return [users_file(path) for path in files_of_meaning(configuration, wildcards.dataset)]


def with_labels_flag(wildcards):
    return "--with-labels" if wildcards.labels == "labelled" else ""


def manifests(datasets, name):
    return [f"{RUN}/data/{dataset}/{name}.tsv" for dataset in datasets]


def check_reports():
    """One report a dataset and use, and one of the device when GPUs are demanded."""
    reports = [f"{RUN}/data/{dataset}/labelled.check.json" for dataset in plan.labelled_datasets]
    reports += [f"{RUN}/data/{dataset}/images.check.json" for dataset in plan.target_datasets]
    demands_gpu = configuration.device in ("cuda", "mps") or (GPU == 1 and PROCESSES > 1)
    return [*reports, *([f"{RUN}/data/device.json"] if demands_gpu else [])]


def second_target_images():
    """The images of branch b, if it has its own."""
    co_training = configuration.co_training
    return [] if co_training.same_domain else f"{RUN}/data/{co_training.target_b}/images.tsv"


def shown_on_sheet(wildcards):
    """What a dataset's contact sheet shows: labels where the run reads them."""
    has_labels = wildcards.dataset in plan.labelled_datasets
    return f"{RUN}/data/{wildcards.dataset}/{'train_ids' if has_labels else 'images'}.tsv"


def class_priors():
    """The maps of where each class is likely, if they are wanted."""
    priors = configuration.self_training.class_priors
    return f"{RUN}/data/class_priors.npy" if priors == "source" else users_file(priors)


def whole_source(dataset):
    if configuration.translation.method == "none":
        return f"{RUN}/data/{dataset}/train_ids.tsv"
    return f"{RUN}/translated/{dataset}/manifest.tsv"


def source_manifest(dataset):
    """The images of a source dataset that are trained on: all that are not held out for calibration."""
    holds_out = configuration.prediction.calibration_images
    return f"{RUN}/data/{dataset}/training.tsv" if holds_out else whole_source(dataset)


def training_images(dataset):
    """The images of a dataset that training sees: of the source, the translated ones."""
    is_source = dataset in plan.source_datasets
    return source_manifest(dataset) if is_source else f"{RUN}/data/{dataset}/images.tsv"


# ----------------------------------------------------------------------------------------- models


def weights(model):
    return f"{RUN}/models/{model}/weights.safetensors"


def state_folder(wildcards, output):
    """Where a training is saved: beside the results, wherever a workflow that imports this one puts them."""
    return f"{output.weights.removesuffix(weights(wildcards.model))}{STATE}/{wildcards.model}"


def folders_of_run(wildcards, output):
    """Flags: where the run has its results and its states, wherever a workflow that imports this one puts them."""
    prefix = output[0].removesuffix(CHECKS)
    return flags(results=f"{prefix}{RUN}", states=f"{prefix}{STATE}")


def predicting_weights(model):
    """The weights that label and are scored."""
    name = {"last": "weights", "averaged": "averaged"}[configuration.prediction.weights]
    return f"{RUN}/models/{model}/{name}.safetensors"


def temperature_of(model):
    """The temperature that a model's logits are divided by, if models are calibrated."""
    is_calibrated = configuration.prediction.calibration_images
    return f"{RUN}/models/{model}/temperature.json" if is_calibrated else []


def temperature(wildcards):
    return temperature_of(wildcards.model)


def allow_code(wildcards):
    """The flag by which a model's weights may run the network of the user's own that the configuration names."""
    return flags(allow_code=plan.own_code(ModelName.parse(wildcards.model)))


# Those that are flags of the steps `train` and `batch_sheet`.
BATCH_INPUTS = ("source", "target", "thresholds", "class_statistics", "decoded", "settings")


# With several processes torchrun starts a training. By default it would not pass on SIGUSR1, by which clusters
# say that the time is nearly up.
LAUNCHER = (
    "python"
    if PROCESSES == 1
    else f"python -m torch.distributed.run --standalone --nproc-per-node {PROCESSES}"
    " --signals-to-handle SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
)


def batch_inputs(wildcards):
    """What the batches of a model's training are made from; see the flags of `workflow_scripts.train`."""
    model = ModelName.parse(wildcards.model)
    sources = plan.sources(model)
    inputs = {
        "source": [source_manifest(dataset) for dataset in sources],
        "settings": settings(f"training/{plan.settings_name(model)}"),
        "checked": CHECKED,
    }
    if configuration.training.decoded_cache:
        targets = [] if model in BASELINES else [plan.target_dataset(model)]
        datasets = [*sources, *targets]
        inputs["decoded"] = [f"{RUN}/decoded/{dataset}/index.tsv" for dataset in datasets]
    if configuration.training.rare_class_sampling.enabled:
        inputs["class_statistics"] = [f"{RUN}/data/{dataset}/class_statistics.json" for dataset in sources]
    if model.stage == "final":
        inputs["target"] = f"{RUN}/pseudo_labels/ensemble/manifest.tsv"
    elif model.stage == "upper_bound":
        inputs["target"] = f"{RUN}/data/{configuration.target}/train_ids.tsv"
    elif model not in BASELINES:
        inputs["target"] = f"{RUN}/pseudo_labels/{model}/accumulated.tsv"
    if plan.needs_thresholds(model):
        own = [f"{RUN}/pseudo_labels/{model}/thresholds.json"]
        inputs["thresholds"] = final_thresholds() if model.stage == "final" else own
    return inputs


def training_inputs(wildcards):
    """What a model is made from: its batches and its first weights."""
    model = ModelName.parse(wildcards.model)
    refuse_until(model)
    parent = plan.parent(model)
    return {
        **batch_inputs(wildcards),
        "initial_weights": weights(parent) if parent else users_file(plan.initial_file(model)),
        "backbone_weights": users_file(plan.backbone_file(model)),
    }


def image_set_manifest(wildcards):
    """The images that a prediction is made of."""
    images = ImageSet.parse(wildcards.image_set)
    if images.kind == "labelled":
        return f"{RUN}/data/{images.dataset}/train_ids.tsv"
    if images.kind == "subset":
        return f"{RUN}/pseudo_labels/{images.step}/subset.tsv"
    if images.kind == "accumulated":
        return f"{RUN}/pseudo_labels/{wildcards.model}/accumulated.tsv"
    return target_images(ModelName.parse(wildcards.model))


def prediction_settings(wildcards):
    """How the images of a set go through a network: test images have a protocol of their own."""
    is_scored = ImageSet.parse(wildcards.image_set).kind == "labelled"
    return settings("evaluation" if is_scored else "prediction")


def prediction_files(model, image_set, suffix):
    """The files of a model's predictions of an image set, one per shard."""
    folder = f"{RUN}/predictions/{model}/{image_set}"
    return [not_stored(f"{folder}/{shard}{suffix}") for shard in range(SHARDS)]


def scored(wildcards):
    """What a model is scored by: its predictions where several jobs make them, else its weights."""
    if SHARDS > 1:
        return {"predictions": prediction_files(wildcards.model, f"labelled/{wildcards.dataset}", ".h5")}
    return {"model": predicting_weights(wildcards.model), "temperature": temperature(wildcards)}


def sampled_images(view):
    """The images that a sample is drawn from: the target's, of which branch b may have its own, or labelled ones."""
    if view.startswith("labelled/"):
        return f"{RUN}/data/{view.removeprefix('labelled/')}/train_ids.tsv"
    return second_target_images() if view == "images_b" else TARGET_IMAGES


def sample_of(model):
    """The sample of the images that a model adapts to; the same scenes for all models."""
    view = "images" if target_images(model) == TARGET_IMAGES else "images_b"
    return f"{RUN}/sample/{view}.tsv"


def sample_manifests():
    """The samples of the run: of the target, and of the images of branch b, if it has its own."""
    views = ["images", *(["images_b"] if second_target_images() else [])]
    return [f"{RUN}/sample/{view}.tsv" for view in views]


def sample_predictions(*models):
    """The predictions of the sample by models."""
    return [f"{RUN}/sample/{model}.h5" for model in models]


def test_sample():
    """A few test images and their predictions by all models, if there is a test set."""
    if not configuration.test:
        return []
    folders = [f"{RUN}/evaluation/{model}/{configuration.test}" for model in plan.models]
    return [f"{RUN}/sample/labelled/{configuration.test}.tsv", *(f"{folder}/sample.h5" for folder in folders)]


def photo_sheet(stage):
    """The page of photos with the last models of all stages up to one."""
    [name] = [name for name, last in PHOTO_SHEETS.items() if last == stage]
    return f"{RUN}/report/{name}.jpg"


def shown_models(wildcards):
    """The models on a page of photos."""
    return plan.last_models(PHOTO_SHEETS[wildcards.sheet])


def learnt_labels(model):
    """The pseudo-labels that a model learns from."""
    step = "ensemble/manifest" if model == str(FINAL) else f"{model}/accumulated"
    return f"{RUN}/pseudo_labels/{step}.tsv"


def files_of_models(wildcards, input):
    """The flags of the step `health` with the files of each model."""
    models = {"labels": plan.health().before}
    kinds = ("predictions", "labels", "trainings", "temperatures", "scores")
    return flags(
        **{
            kind: [
                f"{model}={path}" for model, path in zip(models.get(kind, plan.models), input.get(kind, []))
            ]
            for kind in kinds
        }
    )


def scores(*models):
    """The scores of models, if there is a test set."""
    folder = f"{RUN}/evaluation"
    return [f"{folder}/{model}/{configuration.test}/scores.json" for model in models if configuration.test]


def finished(*models):
    """What the report asks of models: their scores or, without a test set, that they are there."""
    if configuration.test:
        return scores(*models)
    return [*map(weights, models), *(path for model in models if (path := temperature_of(model)))]


def described(*models):
    """What a target asks of models: that they are finished, and their cards."""
    return [*finished(*models), *(f"{RUN}/models/{model}/README.md" for model in models)]


def health_on_card(wildcards):
    """What stands in for scores on the card of the last model; of the others, the health is known too late."""
    is_last = wildcards.model == str(FINAL)
    return f"{RUN}/report/health.json" if is_last and not configuration.test else []


def names_on_card(wildcards):
    """Flags of a card: the names of a model's network and datasets, and of the weights that predict."""
    model = ModelName.parse(wildcards.model)
    # Alone, a folder stands for its averaged weights.
    is_last_of_two = configuration.training.average_decay and configuration.prediction.weights == "last"
    return flags(
        network=plan.network_key(model),
        source=plan.sources(model),
        target=None if model in BASELINES else plan.target_dataset(model),
        test=configuration.test,
        weights="weights.safetensors" if is_last_of_two else None,
    )


def records(*models):
    """What is known of models without labels."""
    return [f"{RUN}/models/{model}/training.json" for model in models]


def models_in_report(wildcards, input):
    """The flag of the report with its models: their scores, or the records of their trainings."""
    flag, paths = ("scores", input.models) if configuration.test else ("trainings", input.records)
    return flags(**{flag: [f"{model}={path}" for model, path in zip(plan.models, paths)]})


def upper_bound_to_compare(wildcards):
    if not configuration.test:
        stop(
            "upper_bound: there is no test set, and an upper bound is only there to compare scores with: expected "
            "a dataset for test"
        )
    return described("upper_bound")


# ---------------------------------------------------------------------------------- pseudo-labels


def shards(labelling, suffix):
    """The prediction files of a labelling, one per shard."""
    return prediction_files(*plan.predicted(Labelling.parse(labelling)), suffix)


def last_of_branches():
    """The last co-training steps of the branches that show the target's own images."""
    steps = plan.branch_steps[-2:]
    return steps if configuration.co_training.same_domain else steps[:1]


def accumulated_for_final():
    """What the branches have accumulated, if the final model learns from that."""
    steps = () if IS_ENSEMBLE else last_of_branches()
    return [f"{RUN}/pseudo_labels/{step}/accumulated.tsv" for step in steps]


def final_thresholds():
    """The thresholds by which the labels of the final model were made, of each branch."""
    labellings = ["ensemble/a", "ensemble/b"] if IS_ENSEMBLE else last_of_branches()
    return [f"{RUN}/pseudo_labels/{labelling}/thresholds.json" for labelling in labellings]


def ensemble_shards(name):
    """What the shards of the final labels consist of: their manifests, or their folders of labels."""
    shards = range(SHARDS) if IS_ENSEMBLE else ()
    return [not_stored(f"{RUN}/pseudo_labels/ensemble/shards/{shard}/{name}") for shard in shards]


def target_images(step):
    return f"{RUN}/data/{plan.target_dataset(step)}/images.tsv"


def paired_images(wildcards):
    """The images that a second view of the target is paired with."""
    images = target_images(step_of(wildcards))
    return TARGET_IMAGES if images != TARGET_IMAGES else []


def step_of(wildcards):
    return ModelName.parse(wildcards.step)


def accumulated_before(wildcards):
    """The manifest that a step adds its images to; empty in the first step."""
    earlier = plan.accumulated_before(step_of(wildcards))
    if earlier is None:
        return []
    name = "relabelled/manifest" if earlier.is_relabelled else "accumulated"
    return f"{RUN}/pseudo_labels/{earlier.step}/{name}.tsv"


def pseudo_label_sets(dataset):
    """The pseudo-labels that a run makes of a dataset's images: step -> manifest, in their order."""
    sets = {
        str(step): f"{RUN}/pseudo_labels/{step}/selected.tsv"
        for step in plan.steps
        if plan.target_dataset(step) == dataset
    }
    if dataset == configuration.target:
        sets["ensemble"] = f"{RUN}/pseudo_labels/ensemble/manifest.tsv"
    return sets


def oracle_reports(wildcards):
    """The oracle studies of those target datasets that have labels."""
    labelled = [name for name in plan.target_datasets if may_have_labels(configuration, name)]
    if not labelled:
        stop(
            f"oracle_studies: the target {configuration.target!r} has no labels to compare pseudo-labels with: "
            f"expected a value for datasets.{configuration.target}.labels"
        )
    return [f"{RUN}/oracle/{dataset}/oracle.json" for dataset in labelled]
