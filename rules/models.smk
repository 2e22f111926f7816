# Train, predict, evaluate: one rule each, for every model of the run.


rule write_settings:
    """Write the settings of a step, so that edits of other settings do not make it run again."""
    output:
        settings("{settings}"),
    log:
        f"{RUN}/logs/write_settings/{{settings}}.log",
    benchmark:
        f"{RUN}/logs/write_settings/{{settings}}.tsv"
    localrule: True
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_lists),
        # A resource, since it is another file in every call.
        configuration=CONFIGURATION,
    params:
        # Not on the command line: a change of these is what makes this rule run again.
        content=lambda wildcards: settings_text(settings_named(configuration, wildcards.settings)),
        contents=contents_besides,
    shell:
        "python -m workflow_scripts.write_settings --config {resources.configuration:q} --part {wildcards.settings}"
        " --output {output:q} --log-file {log:q}"


rule check_networks:
    """Build the networks and load their first weights, before anything is translated or trained."""
    input:
        settings=[settings(f"training/{name}") for name in plan.first_networks.values()],
        weights=[users_file(path) for path in sorted({*map(plan.backbone_file, plan.models)} - {None})],
        initial_weights=users_file(plan.initial_file(BASELINE)),
    output:
        f"{RUN}/data/networks.json",
    log:
        f"{RUN}/logs/check_networks.log",
    benchmark:
        f"{RUN}/logs/check_networks.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_network),
    params:
        settings=lambda wildcards, input: flags(
            settings=[f"{key}={path}" for key, path in zip(plan.first_networks, input.settings)]
        ),
        inputs=flags_of_inputs("initial_weights"),
        label_space=LABEL_SPACE,
    shell:
        "python -m workflow_scripts.check_networks {params.settings} {params.inputs}"
        " --label-space {params.label_space} --output {output:q} --log-file {log:q}"


rule train:
    """Train a model; a killed training resumes from its last save."""
    input:
        unpack(training_inputs),
    output:
        weights=f"{RUN}/models/{{model}}/weights.safetensors",
        record=f"{RUN}/models/{{model}}/training.json",
        history=f"{RUN}/models/{{model}}/history.jsonl",
        averaged=(
            f"{RUN}/models/{{model}}/averaged.safetensors" if configuration.training.average_decay else []
        ),
    log:
        f"{RUN}/logs/train/{{model}}.log",
    benchmark:
        f"{RUN}/logs/train/{{model}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: THREADS * PROCESSES
    resources:
        **needs(of_training),
        gpu=GPU * PROCESSES,
        # Resources, since a change of these is no reason to train again.
        save_every=configuration.training.save_every_iterations,
        log_every=configuration.training.log_every_iterations,
        tensorboard=int(configuration.training.tensorboard),
        launcher=LAUNCHER,
    params:
        inputs=flags_of_inputs(*BATCH_INPUTS, "initial_weights"),
        label_space=LABEL_SPACE,
        device=configuration.device,
        state=state_folder,
        folder=folder_of_output,
    shell:
        "{resources.launcher} -m workflow_scripts.train --name {wildcards.model} {params.inputs}"
        " --label-space {params.label_space} --device {params.device}"
        " --threads {threads} --save-every {resources.save_every} --log-every {resources.log_every}"
        " --tensorboard {resources.tensorboard}"
        " --state {params.state:q} --output {params.folder:q} --log-file {log:q}"


rule batch_sheet:
    """Make a page that shows the first batches of a training, as the network sees them."""
    input:
        unpack(batch_inputs),
    output:
        report(
            f"{RUN}/models/{{model}}/batches.png",
            caption="captions/batches.rst",
            category="Training",
            labels={"model": "{model}", "content": "first batches"},
        ),
    log:
        f"{RUN}/logs/batch_sheet/{{model}}.log",
    benchmark:
        f"{RUN}/logs/batch_sheet/{{model}}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_source),
    params:
        inputs=flags_of_inputs(*BATCH_INPUTS),
        label_space=LABEL_SPACE,
    shell:
        "python -m workflow_scripts.batch_sheet --name {wildcards.model} {params.inputs}"
        " --label-space {params.label_space} --output {output:q} --log-file {log:q}"


rule batch_sheets:
    """What the baseline's training sees; `snakemake results/RUN/models/MODEL/batches.png` for any other."""
    input:
        f"{RUN}/models/baseline/batches.png",


rule estimate:
    """Measure on this machine how long the run will take and how much memory a training needs."""
    input:
        source=manifests(configuration.source, "train_ids"),
        images=TARGET_IMAGES,
        training=[settings(f"training/{name}") for name in plan.settings_names],
        settings=settings("prediction"),
        work=settings("work"),
    output:
        f"{RUN}/report/estimate.txt",
    log:
        f"{RUN}/logs/estimate.log",
    benchmark:
        f"{RUN}/logs/estimate.tsv"
    conda:
        "../envs/environment.yaml"
    threads: THREADS
    resources:
        **needs(of_estimate),
        gpu=GPU,
    params:
        inputs=flags_of_inputs("source", "images", "training", "settings", "work"),
        label_space=LABEL_SPACE,
        device=configuration.device,
        gpus_per_training=PROCESSES,
    shell:
        "python -m workflow_scripts.estimate {params.inputs} --label-space {params.label_space}"
        " --device {params.device} --threads {threads} --gpus-per-training {params.gpus_per_training}"
        " --output {output:q} --log-file {log:q}"


rule calibrate:
    """Find the temperature that corrects a model's confidences, on source images kept out of training."""
    input:
        model=predicting_weights("{model}"),
        labelled=lambda wildcards: manifests(plan.sources(ModelName.parse(wildcards.model)), "held_out"),
        settings=settings("prediction"),
    output:
        f"{RUN}/models/{{model}}/temperature.json",
    log:
        f"{RUN}/logs/calibrate/{{model}}.log",
    benchmark:
        f"{RUN}/logs/calibrate/{{model}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: THREADS
    resources:
        **needs(of_calibration),
        gpu=GPU,
    params:
        inputs=flags_of_inputs("model", "labelled", "settings"),
        allow_code=allow_code,
        seed=configuration.seed,
        device=configuration.device,
    shell:
        "python -m workflow_scripts.calibrate {params.inputs} {params.allow_code} --seed {params.seed}"
        " --device {params.device} --threads {threads} --output {output:q} --log-file {log:q}"


rule predict:
    """Predict class and confidence of one shard of an image set."""
    input:
        model=predicting_weights("{model}"),
        temperature=temperature,
        images=image_set_manifest,
        ego_vehicle_mask=EGO_VEHICLE_MASK,
        settings=prediction_settings,
    output:
        predictions=temp(not_stored(f"{RUN}/predictions/{{model}}/{{image_set}}/{{shard}}.h5")),
        histogram=temp(not_stored(f"{RUN}/predictions/{{model}}/{{image_set}}/{{shard}}.histogram.npz")),
    log:
        f"{RUN}/logs/predict/{{model}}/{{image_set}}/{{shard}}.log",
    benchmark:
        f"{RUN}/logs/predict/{{model}}/{{image_set}}/{{shard}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: THREADS
    resources:
        **needs(of_prediction),
        gpu=GPU,
    params:
        inputs=flags_of_inputs("model", "temperature", "images", "ego_vehicle_mask", "settings"),
        allow_code=allow_code,
        shards=SHARDS,
        device=configuration.device,
    shell:
        "python -m workflow_scripts.predict {params.inputs} {params.allow_code} --shard {wildcards.shard}"
        " --shards {params.shards} --device {params.device} --threads {threads}"
        " --output {output.predictions:q} --log-file {log:q}"


rule predict_sample:
    """Predict the sample of the target's images with a model, as test images, to compare all models on them."""
    input:
        model=predicting_weights("{model}"),
        temperature=temperature,
        images=lambda wildcards: sample_of(ModelName.parse(wildcards.model)),
        ego_vehicle_mask=EGO_VEHICLE_MASK,
        settings=settings("evaluation"),
    output:
        predictions=f"{RUN}/sample/{{model}}.h5",
        histogram=f"{RUN}/sample/{{model}}.histogram.npz",
    log:
        f"{RUN}/logs/predict_sample/{{model}}.log",
    benchmark:
        f"{RUN}/logs/predict_sample/{{model}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: THREADS
    resources:
        **needs(of_sample),
        gpu=GPU,
    params:
        inputs=flags_of_inputs("model", "temperature", "images", "ego_vehicle_mask", "settings"),
        allow_code=allow_code,
        device=configuration.device,
    shell:
        "python -m workflow_scripts.predict {params.inputs} {params.allow_code} --device {params.device}"
        " --threads {threads} --output {output.predictions:q} --log-file {log:q}"


rule evaluate:
    """Score a model on the labelled test set."""
    input:
        unpack(scored),
        labelled=f"{RUN}/data/{{dataset}}/train_ids.tsv",
        sample=f"{RUN}/sample/labelled/{{dataset}}.tsv",
        settings=settings("evaluation"),
        class_subsets=[
            users_file(name) for name in configuration.evaluation.class_subsets if is_definition(name)
        ],
    output:
        sample=f"{RUN}/evaluation/{{model}}/{{dataset}}/sample.h5",
        scores=f"{RUN}/evaluation/{{model}}/{{dataset}}/scores.json",
        confusion=f"{RUN}/evaluation/{{model}}/{{dataset}}/confusion.tsv",
        picture=report(
            f"{RUN}/evaluation/{{model}}/{{dataset}}/confusion.png",
            caption="captions/confusion.rst",
            category="Scores",
            subcategory="Confusion of classes",
            labels={"model": "{model}", "images": "{dataset}"},
        ),
    log:
        f"{RUN}/logs/evaluate/{{model}}/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/evaluate/{{model}}/{{dataset}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: THREADS
    resources:
        **needs(of_evaluation),
        gpu=0 if SHARDS > 1 else GPU,
    params:
        inputs=flags_of_inputs("model", "temperature", "predictions", "labelled", "settings", "sample"),
        # Predictions run no network.
        allow_code=lambda wildcards: "" if SHARDS > 1 else allow_code(wildcards),
        # A model brings its own label space.
        label_space=flags(label_space=configuration.label_space if SHARDS > 1 else ""),
        write_outputs="--write-outputs" if configuration.evaluation.write_outputs else "",
        class_subsets=flags(class_subsets=configuration.evaluation.class_subsets),
        device=configuration.device,
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.evaluate --name {wildcards.model} {params.inputs} {params.allow_code}"
        " {params.label_space} {params.write_outputs} {params.class_subsets} --device {params.device}"
        " --threads {threads} --output {params.folder:q} --log-file {log:q}"
