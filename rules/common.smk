# Where an artefact lives and what it is made from. The one place that knows.
import fcntl
import json
import re
import shlex
from pathlib import PurePosixPath

from cotrain.adaptation.sampling import (
    co_training_subset_seed,
    self_training_subset_seed,
)
from cotrain.data.trees import tree_layout

RUN = f"results/{config['run']}"
# Declared by no rule: Snakemake removes what a killed job declares, and this is what resumes it.
STATE = f"state/{config['run']}"
SELF_TRAINING = config["self_training"]
CO_TRAINING = config["co_training"]
GPU = 0 if config["device"] == "cpu" else 1
THREADS = config["threads_per_training"]
PROCESSES = config["gpus_per_training"]
DEMANDS_GPU = config["device"] in ("cuda", "mps") or (GPU == 1 and PROCESSES > 1)
# Started by torchrun, several processes share each batch. Of itself it would not hand on SIGUSR1, by which
# clusters say that the time is nearly up.
TRAIN = (
    "python"
    if PROCESSES == 1
    else f"python -m torch.distributed.run --standalone --nproc-per-node {PROCESSES}"
    " --signals-to-handle SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
)
TEST = config["test"]
# Quoted for the shell: it may be the path of a user's file.
LABEL_SPACE = shlex.quote(config["label_space"])
SHARDS = config["prediction"]["shards"]
PREDICTING = {"last": "weights", "averaged": "averaged"}[config["prediction"]["weights"]]
CALIBRATION_IMAGES = config["prediction"]["calibration_images"]


def hold_run():
    """Let no second workflow work on this run, until this process ends in whatever way.

    Snakemake's own lock outlives a `kill -9` and would stop the next call; the profile turns it off.
    """
    global run_lock
    os.makedirs(STATE, exist_ok=True)
    run_lock = open(f"{STATE}/workflow.lock", "w")
    try:
        fcntl.flock(run_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkflowError(
            f"another snakemake is at work on run {config['run']} ({STATE}/workflow.lock)"
        ) from None


wildcard_constraints:
    dataset=r"[A-Za-z0-9_-]+",
    labels=r"images|labelled",
    model=r"baseline|self_training/\d\d|co_training/\d\d/[ab]|final|upper_bound",
    step=r"self_training/\d\d|co_training/\d\d/[ab]",
    cycle=r"\d\d",
    round=r"\d\d",
    image_set=r"target|accumulated|labelled/[A-Za-z0-9_-]+|subset/self_training/\d\d|subset/co_training/\d\d/[ab]",
    labelling=r"(self_training/\d\d|co_training/\d\d/[ab])(/relabelled)?|ensemble/[ab]",
    shard=r"\d+",


def rounds():
    return [f"self_training/{number:02d}" for number in range(SELF_TRAINING["rounds"])]


def branches():
    return [
        f"co_training/{number:02d}/{branch}" for number in range(CO_TRAINING["cycles"]) for branch in "ab"
    ]


def all_models():
    """The models of a run, in the order in which they come to be."""
    upper_bound = ["upper_bound"] if config["upper_bound"] else []
    return ["baseline", *rounds(), *branches(), "final", *upper_bound]


def stage(model):
    """The section of the configuration that tells how a model is trained."""
    return "final" if model == "upper_bound" else model.split("/")[0]


def section(name):
    """The configuration of a model or step."""
    return config[stage(name)]


def number(name):
    """The round or cycle of `self_training/03` or `co_training/03/a`."""
    return int(name.split("/")[1])


def before(name):
    """The same model or step one round or cycle earlier."""
    stage_of, number_of, *branch = PurePosixPath(name).parts
    return str(PurePosixPath(stage_of, f"{int(number_of) - 1:02d}", *branch))


def branch_start(name):
    """The self-training round that a co-training branch starts from."""
    return f"self_training/{CO_TRAINING[f'round_{name[-1]}']:02d}"


def teacher(step):
    """The model that labels the images of a step."""
    if number(step) > 0:
        return before(step)
    return "baseline" if step.startswith("self_training") else branch_start(step)


def initial_weights(model):
    """The weights that a model starts from; empty for a pretrained backbone."""
    choice = section(model)["initial_weights"]
    if model == "baseline":
        return [] if choice == "pretrained" else choice
    if has_own_network(model) and not (choice == "previous" and number(model) > 0):
        return []
    if choice == "previous":
        choice = teacher(model)
    elif choice == "branch_start":
        choice = branch_start(model)
    return weights(choice)


def has_own_network(model):
    """Whether a model is of branch b, where that has a network of its own: no other weights fit it."""
    return bool(CO_TRAINING["network_b"]) and bool(re.fullmatch(r"co_training/\d+/b", model))


def network_of(model):
    """The section of the configuration that describes a model's network."""
    return CO_TRAINING["network_b"] if has_own_network(model) else config["network"]


def settings_name(model):
    """The settings file of a model's training: one for each stage, and for a branch with its own network."""
    return "co_training_b" if has_own_network(model) else stage(model)


def backbone_weights(model):
    """The file that the configuration names for the backbone, if it is one and the model starts from it."""
    choice = network_of(model).get("backbone_weights", "none")
    is_file = choice not in ("package", "timm", "none")
    return choice if is_file and not initial_weights(model) else []


def weights(model):
    return f"{RUN}/models/{model}/weights.safetensors"


def temperature(wildcards):
    """The temperature that a model's logits are divided by, if models are calibrated."""
    return f"{RUN}/models/{wildcards.model}/temperature.json" if CALIBRATION_IMAGES else []


def scores(models):
    return [f"{RUN}/evaluation/{model}/{TEST}/scores.json" for model in models]


def scenes_of(wildcards):
    is_rendered = config["datasets"][wildcards.dataset]["layout"] == "streets"
    return f"{RUN}/data/{wildcards.dataset}/scenes/scenes.tsv" if is_rendered else []


def list_files(wildcards):
    """The list files that a dataset is read from; its label list only where labels are wanted."""
    dataset = config["datasets"][wildcards.dataset]
    keys = ("images", "labels") if wildcards.labels == "labelled" else ("images",)
    lists = [dataset[key] for key in keys if dataset.get(key)] if dataset["layout"] == "lists" else []
    return [*lists, *own_definitions(dataset["layout"])]


def own_definitions(*names):
    """Those of the names that are YAML files of the user's."""
    return [name for name in names if name and name.endswith((".yaml", ".yml"))]


def label_definitions(wildcards):
    """The user's files that say what a dataset's labels mean."""
    settings = config["datasets"][wildcards.dataset]
    classes = settings.get("classes")
    if not classes and own_definitions(settings["layout"]):
        classes = tree_layout(settings["layout"]).classes
    return own_definitions(config["label_space"], classes)


def dataset_settings(wildcards):
    """A dataset's settings; without those of its labels where only its images are wanted."""
    settings = config["datasets"][wildcards.dataset]
    of_labels = ("labels", "classes", "version") if wildcards.labels == "images" else ()
    return json.dumps({key: value for key, value in settings.items() if key not in of_labels})


def labelled_flag(wildcards):
    return "--labelled" if wildcards.labels == "labelled" else ""


def source_manifest(dataset):
    """The images of a source dataset that are trained on: all that are not held out for calibration."""
    return f"{RUN}/data/{dataset}/training.tsv" if CALIBRATION_IMAGES else whole_source(dataset)


def whole_source(dataset):
    if config["translation"]["method"] == "none":
        return f"{RUN}/data/{dataset}/train_ids.tsv"
    return f"{RUN}/translated/{dataset}/manifest.tsv"


def decoded_from(wildcards):
    """The images of a dataset that training sees: of the source, the translated ones."""
    if wildcards.dataset in config["source"]:
        return source_manifest(wildcards.dataset)
    return f"{RUN}/data/{wildcards.dataset}/images.tsv"


def target_dataset(step):
    """The dataset that a step labels: branch b may have its own."""
    is_b = step.startswith("co_training") and step.endswith("b")
    return CO_TRAINING["target_b"] if is_b and not CO_TRAINING["same_domain"] else config["target"]


def labelled_datasets():
    """The datasets whose labels the run reads."""
    return {
        *config["source"],
        TEST,
        *([config["target"]] if config["upper_bound"] else []),
    }


def target_datasets():
    """The datasets whose images the run adapts to."""
    return {target_dataset("self_training"), target_dataset("co_training/b")}


def has_labels(dataset):
    """Whether the configuration tells of labels; whether folders hold them shows when they are listed."""
    settings = config["datasets"][dataset]
    return settings["layout"] != "lists" or bool(settings.get("labels"))


def oracle_reports(wildcards):
    """The oracle studies of those target datasets that have labels."""
    labelled = [dataset for dataset in sorted(target_datasets()) if has_labels(dataset)]
    if not labelled:
        raise WorkflowError(
            f"oracle_study: the target {config['target']!r} has no labels to compare pseudo-labels with: "
            f"expected a value for datasets.{config['target']}.labels"
        )
    return [f"{RUN}/oracle/{dataset}/oracle.json" for dataset in labelled]


def pseudo_label_sets(dataset):
    """The pseudo-labels that a run makes of a dataset's images: step -> manifest, in their order."""
    sets = {
        step: f"{RUN}/pseudo_labels/{step}/selected.tsv"
        for step in [*rounds(), *branches()]
        if target_dataset(step) == dataset
    }
    if dataset == config["target"]:
        sets["ensemble"] = f"{RUN}/pseudo_labels/ensemble/manifest.tsv"
    return sets


def check_reports():
    """One report a dataset and use, and one of the device when GPUs are demanded."""
    reports = [
        f"{RUN}/data/{dataset}/{labels}.check.json"
        for labels, datasets in (("labelled", labelled_datasets()), ("images", target_datasets()))
        for dataset in sorted(datasets)
    ]
    return [*reports, *([f"{RUN}/data/device.json"] if DEMANDS_GPU else [])]


def used_datasets():
    """The datasets that play a part in the run."""
    return sorted(labelled_datasets() | target_datasets())


def sheet_manifest(dataset):
    """What a dataset's contact sheet shows: labels where the run reads them."""
    return "train_ids.tsv" if dataset in labelled_datasets() else "images.tsv"


# Nothing is translated or trained before all checks are passed. One file, and an ancient one: another
# report (of the upper bound's labels, say) must not make what is finished anew.
CHECKED = ancient(f"{RUN}/data/checked.json")


def training_inputs(wildcards):
    """What a model is trained on; see the flags of `workflow_scripts.train`."""
    return {
        **batch_inputs(wildcards),
        "initial_weights": initial_weights(wildcards.model),
        "backbone_weights": backbone_weights(wildcards.model),
    }


def batch_inputs(wildcards):
    """What the batches of a model's training are made from."""
    model, chosen = wildcards.model, section(wildcards.model)
    inputs = {
        "source": [source_manifest(dataset) for dataset in config["source"]],
        "settings": f"{RUN}/settings/{settings_name(model)}.json",
        "checked": CHECKED,
    }
    if config["training"]["decoded_cache"]:
        targets = [] if model == "baseline" else [target_dataset(model)]
        inputs["decoded"] = [
            f"{RUN}/decoded/{dataset}/index.tsv" for dataset in [*config["source"], *targets]
        ]
    if config["training"]["rare_class_sampling"]["enabled"]:
        inputs["class_statistics"] = [
            f"{RUN}/data/{dataset}/class_statistics.json" for dataset in config["source"]
        ]
    if model == "final":
        inputs["target"] = f"{RUN}/pseudo_labels/ensemble/manifest.tsv"
    elif model == "upper_bound":
        inputs["target"] = f"{RUN}/data/{config['target']}/train_ids.tsv"
    elif model != "baseline":
        inputs["target"] = f"{RUN}/pseudo_labels/{model}/accumulated.tsv"
        if chosen["class_mixing"] == "on_demand":
            inputs["thresholds"] = f"{RUN}/pseudo_labels/{model}/thresholds.json"
    return inputs


def training_settings(wildcards):
    """All that decides the trainings of a stage but their inputs, as JSON."""
    is_branch_b = wildcards.stage == "co_training_b"
    chosen = config["co_training" if is_branch_b else wildcards.stage]
    settings = {key: config[key] for key in ("precision", "seed")}
    settings["network"] = CO_TRAINING["network_b"] if is_branch_b else config["network"]
    # How often a training saves and logs and where it finds its images does not change what it learns.
    settings["training"] = {
        key: value
        for key, value in config["training"].items()
        if not key.endswith("_every_iterations") and key != "decoded_cache"
    }
    settings |= {key: chosen[key] for key in ("iterations", "hard_pixel_share")}
    if wildcards.stage != "baseline":
        settings |= {key: chosen[key] for key in ("batch_ratio", "class_mixing")}
    return json.dumps(settings)


def cropping():
    """What decides how large an image is when a training crop is cut from it, as JSON."""
    keys = ("crop", "source_augmentation", "target_augmentation")
    return json.dumps({key: config["training"][key] for key in keys})


def prediction_settings():
    """How the target's images go through a network, as JSON; the number of shards changes no prediction."""
    keys = ("batch_size", "resize", "scales", "flip", "window")
    return json.dumps({key: config["prediction"][key] for key in keys})


def evaluation_settings():
    """How test images go through a network, as JSON."""
    return json.dumps({"batch_size": config["prediction"]["batch_size"], **config["evaluation"]["protocol"]})


def settings_of_image_set(wildcards):
    """How the images of a set go through a network, as JSON."""
    is_scored = wildcards.image_set.startswith("labelled/")
    return evaluation_settings() if is_scored else prediction_settings()


def all_settings_names():
    """The settings files of all trainings, each once."""
    return list(dict.fromkeys(map(settings_name, all_models())))


def plan():
    """Trainings with their iterations, labellings with their images, each with its settings file, as JSON."""
    trainings = {model: (section(model)["iterations"], settings_name(model)) for model in all_models()}
    labellings = {f"score {model}": (-1, settings_name(model)) for model in all_models()}
    for stage_name, steps, images, relabelled in (
        ("self_training", rounds(), "images_per_round", "relabel_rounds"),
        ("co_training", branches(), "images_per_cycle", "relabel_cycles"),
    ):
        chosen = config[stage_name]
        for step in steps:
            labellings[f"label for {step}"] = (chosen[images], settings_name(teacher(step)))
            if number(step) < chosen[relabelled]:
                again = chosen["keep"] * (number(step) + 1)
                labellings[f"label anew after {step}"] = (again, settings_name(step))
    for branch in "ab":
        last = predicted(f"ensemble/{branch}")[0]
        labellings[f"ensemble, branch {branch}"] = (-1, settings_name(last))
    if CALIBRATION_IMAGES:
        held_out = CALIBRATION_IMAGES * len(config["source"])
        labellings |= {f"calibrate {model}": (held_out, settings_name(model)) for model in all_models()}
    return json.dumps({"trainings": trainings, "labellings": labellings})


def flags(**values):
    """Command-line flags of those values that are there: flags(target=[]) is empty."""
    given = {name: value for name, value in values.items() if value not in (None, [], "")}
    return " ".join(f"--{name.replace('_', '-')} {quoted(value)}" for name, value in given.items())


def quoted(value):
    return shlex.join([str(value)] if isinstance(value, str | int | float) else [*map(str, value)])


def ego_vehicle_mask():
    return config["ego_vehicle_mask"] or []


def class_priors():
    """The maps of where each class is likely, if they are wanted."""
    chosen = SELF_TRAINING["class_priors"]
    return f"{RUN}/data/class_priors.npy" if chosen == "source" else chosen or []


def is_anew(labelling):
    """Whether `self_training/03/relabelled`: accumulated images labelled anew by the model just trained."""
    return PurePosixPath(labelling).name == "relabelled"


def labelled_step(labelling):
    """The step of a labelling: `self_training/03` of `self_training/03/relabelled`."""
    return str(PurePosixPath(labelling).parent) if is_anew(labelling) else labelling


def predicted(labelling):
    """The model and the image set whose predictions a labelling is made from."""
    if labelling.startswith("ensemble"):
        return f"co_training/{CO_TRAINING['cycles'] - 1:02d}/{labelling[-1]}", "target"
    if is_anew(labelling):
        return labelled_step(labelling), "accumulated"
    return teacher(labelling), f"subset/{labelling}"


def shards(labelling, suffix):
    """The prediction files of a labelling, one a shard."""
    return prediction_files(*predicted(labelling), suffix)


def prediction_files(model, image_set, suffix):
    """The files of a model's predictions of an image set, one a shard."""
    return [f"{RUN}/predictions/{model}/{image_set}/{shard}{suffix}" for shard in range(SHARDS)]


def scored(wildcards):
    """What a model is scored by: its predictions where several jobs make them, else its weights."""
    if SHARDS > 1:
        return {"predictions": prediction_files(wildcards.model, f"labelled/{wildcards.dataset}", ".h5")}
    return {
        "weights": f"{RUN}/models/{wildcards.model}/{PREDICTING}.safetensors",
        "temperature": temperature(wildcards),
    }


def scoring(wildcards, input, output):
    """The flags of `workflow_scripts.evaluate` for what `scored` gives."""
    if SHARDS > 1:
        return flags(
            predictions=input.predictions,
            labels=input.labelled,
            label_space=config["label_space"],
            output=output.scores,
        )
    return flags(
        weights=input.weights,
        temperature=input.temperature,
        labelled=input.labelled,
        output=os.path.dirname(output.scores),
    )


def subset_choice(step):
    """How the images of a step are drawn, as flags."""
    chosen, place = section(step), number(step)
    if step.startswith("self_training"):
        many, seed = chosen["images_per_round"], self_training_subset_seed(config["seed"], place)
    else:
        many, seed = chosen["images_per_cycle"], co_training_subset_seed(config["seed"], place)
    return flags(number=many, seed=seed, every=chosen["every"])


def image_set_manifest(wildcards):
    """The images that a prediction is made of."""
    if wildcards.image_set == "target":
        return f"{RUN}/data/{target_dataset(wildcards.model)}/images.tsv"
    if wildcards.image_set.startswith("labelled/"):
        return f"{RUN}/data/{wildcards.image_set.removeprefix('labelled/')}/train_ids.tsv"
    if wildcards.image_set == "accumulated":
        return f"{RUN}/pseudo_labels/{wildcards.model}/accumulated.tsv"
    return f"{RUN}/pseudo_labels/{wildcards.image_set.removeprefix('subset/')}/subset.tsv"


def threshold_settings(wildcards):
    """Portion schedule and clips of a labelling, as flags."""
    stage_of = wildcards.labelling.split("/")[0]
    if stage_of == "self_training":
        portion, step = SELF_TRAINING["portion"], number(wildcards.labelling)
    else:
        branch = labelled_step(wildcards.labelling)[-1]
        portion = CO_TRAINING[f"portion_{branch}"]
        # The ensemble's models are those of the last cycle, and so is its portion.
        step = number(wildcards.labelling) if stage_of == "co_training" else CO_TRAINING["cycles"] - 1
    confidence = (SELF_TRAINING if stage_of == "self_training" else CO_TRAINING)["confidence"]
    return flags(
        step=step,
        portion=json.dumps(portion),
        lower=confidence["lower"],
        upper=confidence["upper"],
    )


def is_relabelled(step):
    """Whether the images accumulated in a step are labelled anew: early on, and only for a step to come."""
    chosen = section(step)
    steps, until = (
        (chosen["rounds"], chosen["relabel_rounds"])
        if step.startswith("self_training")
        else (chosen["cycles"], chosen["relabel_cycles"])
    )
    return chosen["accumulation"] != "none" and number(step) < min(until, steps - 1)


def accumulated_before(wildcards):
    """The manifest that a step adds its images to; empty in the first step."""
    if number(wildcards.step) == 0 or section(wildcards.step)["accumulation"] == "none":
        return []
    last = before(wildcards.step)
    manifest = "relabelled/manifest.tsv" if is_relabelled(last) else "accumulated.tsv"
    return f"{RUN}/pseudo_labels/{last}/{manifest}"
