# Demo scenes, manifests, checks, label conversion, class statistics, colour translation.


rule render_scenes:
    """Render the streets of the embedded default; interrupted, it goes on with the next image."""
    output:
        RUN + "/data/{dataset}/scenes/scenes.tsv",
    params:
        scenes=lambda wildcards: flags(
            **{
                key: config["datasets"][wildcards.dataset][key]
                for key in ("look", "images", "width", "height", "seed")
            }
        ),
        folder=lambda wildcards, output: os.path.dirname(output[0]),
    threads: workflow.cores or 1
    log:
        RUN + "/logs/render_scenes/{dataset}.log",
    shell:
        "python -m workflow_scripts.render_scenes {params.scenes}"
        " --processes {threads} --output {params.folder:q} --log {log:q}"


def scenes_of(wildcards):
    is_rendered = config["datasets"][wildcards.dataset]["layout"] == "streets"
    return f"{RUN}/data/{wildcards.dataset}/scenes/scenes.tsv" if is_rendered else []


def list_files(wildcards):
    """The list files that a dataset is read from; its label list only where labels are wanted."""
    dataset = config["datasets"][wildcards.dataset]
    keys = ("images", "labels") if wildcards.labels == "labelled" else ("images",)
    return [dataset[key] for key in keys] if dataset["layout"] == "lists" else []


def dataset_settings(wildcards):
    return json.dumps(config["datasets"][wildcards.dataset])


def labelled_flag(wildcards):
    return "--labelled" if wildcards.labels == "labelled" else ""


rule make_manifest:
    """List a dataset's images, with labels (labelled) or without ever touching them (images)."""
    input:
        scenes=scenes_of,
        lists=list_files,
    output:
        RUN + "/data/{dataset}/{labels}.tsv",
    params:
        settings=dataset_settings,
        labelled=labelled_flag,
        scenes=lambda wildcards, input: (
            flags(scenes=os.path.dirname(input.scenes)) if input.scenes else ""
        ),
    log:
        RUN + "/logs/make_manifest/{dataset}.{labels}.log",
    shell:
        "python -m workflow_scripts.make_manifest --dataset {wildcards.dataset} --settings {params.settings:q}"
        " {params.labelled} {params.scenes} --output {output:q} --log {log:q}"


rule check_data:
    """Decode every file of a dataset and say what is wrong, before anything is trained on it."""
    input:
        RUN + "/data/{dataset}/{labels}.tsv",
    output:
        RUN + "/data/{dataset}/{labels}.check.json",
    params:
        settings=dataset_settings,
        labelled=labelled_flag,
        label_space=config["label_space"],
    threads: workflow.cores or 1
    log:
        RUN + "/logs/check_data/{dataset}.{labels}.log",
    shell:
        "python -m workflow_scripts.check_data --manifest {input:q} --dataset {wildcards.dataset}"
        " --settings {params.settings:q} --label-space {params.label_space} {params.labelled}"
        " --workers {threads} --output {output:q} --log {log:q}"


rule check_device:
    """Find out now that a demanded GPU is missing, not after an hour of translation."""
    output:
        RUN + "/data/device.json",
    params:
        device=config["device"],
    resources:
        gpu=1,
    log:
        RUN + "/logs/check_device.log",
    shell:
        "python -m workflow_scripts.check_device --device {params.device} --output {output:q} --log {log:q}"


rule convert_labels:
    """Convert a dataset's label files to the train ids of this run."""
    input:
        manifest=RUN + "/data/{dataset}/labelled.tsv",
        check=ancient(RUN + "/data/{dataset}/labelled.check.json"),
    output:
        RUN + "/data/{dataset}/train_ids.tsv",
    params:
        table=lambda wildcards: config["datasets"][wildcards.dataset].get(
            "classes", "cityscapes_train_ids"
        ),
        label_space=config["label_space"],
        folder=lambda wildcards, output: os.path.dirname(output[0]),
    threads: workflow.cores or 1
    log:
        RUN + "/logs/convert_labels/{dataset}.log",
    shell:
        "python -m workflow_scripts.convert_labels --manifest {input.manifest:q} --class-table {params.table}"
        " --label-space {params.label_space} --threads {threads} --output {params.folder:q} --log {log:q}"


rule translate:
    """Give every source image the colours of a target image (LAB mean and deviation)."""
    input:
        source=RUN + "/data/{dataset}/train_ids.tsv",
        target=f"{RUN}/data/{config['target']}/images.tsv",
        checks=checks(),
    output:
        RUN + "/translated/{dataset}/manifest.tsv",
    params:
        seed=config["seed"],
        per_image=config["translation"]["targets_per_image"],
    threads: workflow.cores or 1
    log:
        RUN + "/logs/translate/{dataset}.log",
    shell:
        "python -m workflow_scripts.translate_lab --source {input.source:q} --target {input.target:q}"
        " --seed {params.seed} --per-image {params.per_image} --workers {threads} --output {output:q} --log {log:q}"


rule class_statistics:
    """Count each class's pixels in every source image, for rare-class sampling."""
    input:
        lambda wildcards: source_manifest(wildcards.dataset),
    output:
        RUN + "/data/{dataset}/class_statistics.json",
    params:
        label_space=config["label_space"],
    threads: workflow.cores or 1
    log:
        RUN + "/logs/class_statistics/{dataset}.log",
    shell:
        "python -m workflow_scripts.class_statistics --manifest {input:q} --label-space {params.label_space}"
        " --workers {threads} --output {output:q} --log {log:q}"
