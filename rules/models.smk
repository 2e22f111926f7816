# Train, predict, evaluate: one rule each, for every model of the run.


localrules:
    batch_sheets,
    write_settings,


rule write_settings:
    """Write what decides the trainings of a stage, so that no other edit trains them anew."""
    output:
        f"{RUN}/settings/{{stage}}.json",
    log:
        f"{RUN}/logs/write_settings/{{stage}}.log",
    conda:
        "../envs/environment.yaml"
    params:
        settings=training_settings,
    shell:
        "python -m workflow_scripts.write_settings --settings {params.settings:q} --output {output:q} --log {log:q}"


rule train:
    """Train a model; killed at any moment, it goes on from its last save."""
    input:
        unpack(training_inputs),
    output:
        weights=f"{RUN}/models/{{model}}/weights.safetensors",
        record=f"{RUN}/models/{{model}}/training.json",
        history=f"{RUN}/models/{{model}}/history.jsonl",
        averaged=(
            f"{RUN}/models/{{model}}/averaged.safetensors" if config["training"]["average_decay"] else []
        ),
    log:
        f"{RUN}/logs/train/{{model}}.log",
    conda:
        "../envs/environment.yaml"
    threads: THREADS * PROCESSES
    resources:
        gpu=GPU * PROCESSES,
        # Resources, since a change of these is no reason to train anew.
        save_every=config["training"]["save_every_iterations"],
        log_every=config["training"]["log_every_iterations"],
        launcher=TRAIN,
    params:
        inputs=lambda wildcards, input: flags(
            **{
                name: input.get(name)
                for name in (
                    "source",
                    "target",
                    "thresholds",
                    "class_statistics",
                    "decoded",
                    "initial_weights",
                )
            }
        ),
        label_space=LABEL_SPACE,
        device=config["device"],
        state=lambda wildcards: f"{STATE}/{wildcards.model}",
        folder=lambda wildcards, output: os.path.dirname(output.weights),
    shell:
        "{resources.launcher} -m workflow_scripts.train --model {wildcards.model} {params.inputs}"
        " --settings {input.settings:q} --label-space {params.label_space} --device {params.device}"
        " --threads {threads} --save-every {resources.save_every} --log-every {resources.log_every}"
        " --state {params.state:q} --output {params.folder:q} --log {log:q}"


rule batch_sheet:
    """A page of the first batches of a training, as the network sees them."""
    input:
        unpack(batch_inputs),
    output:
        f"{RUN}/models/{{model}}/batches.png",
    log:
        f"{RUN}/logs/batch_sheet/{{model}}.log",
    conda:
        "../envs/environment.yaml"
    params:
        inputs=lambda wildcards, input: flags(
            **{
                name: input.get(name)
                for name in ("source", "target", "thresholds", "class_statistics", "decoded")
            }
        ),
        label_space=LABEL_SPACE,
    shell:
        "python -m workflow_scripts.batch_sheet --model {wildcards.model} {params.inputs}"
        " --settings {input.settings:q} --label-space {params.label_space} --output {output:q} --log {log:q}"


rule batch_sheets:
    """What the baseline's training sees; `snakemake results/RUN/models/MODEL/batches.png` for any other."""
    input:
        f"{RUN}/models/baseline/batches.png",


rule estimate:
    """Measure on this machine how long the run will take and how much memory a training needs."""
    input:
        source=[f"{RUN}/data/{dataset}/train_ids.tsv" for dataset in config["source"]],
        images=f"{RUN}/data/{config['target']}/images.tsv",
        settings=[f"{RUN}/settings/{name}.json" for name in all_settings_names()],
    output:
        f"{RUN}/report/estimate.txt",
    log:
        f"{RUN}/logs/estimate.log",
    conda:
        "../envs/environment.yaml"
    threads: THREADS
    resources:
        gpu=GPU,
    params:
        prediction=prediction_settings(),
        plan=plan(),
        label_space=LABEL_SPACE,
        precision=config["precision"],
        device=config["device"],
        processes=PROCESSES,
    shell:
        "python -m workflow_scripts.estimate --training {input.settings:q} --label-space {params.label_space}"
        " --source {input.source:q} --images {input.images:q} --plan {params.plan:q}"
        " --settings {params.prediction:q} --precision {params.precision} --device {params.device}"
        " --threads {threads} --processes {params.processes} --output {output:q} --log {log:q}"


rule calibrate:
    """Find the temperature that makes a model's confidences mean what they say, on held-out source images."""
    input:
        weights=f"{RUN}/models/{{model}}/{PREDICTING}.safetensors",
        labelled=[f"{RUN}/data/{dataset}/held_out.tsv" for dataset in config["source"]],
    output:
        f"{RUN}/models/{{model}}/temperature.json",
    log:
        f"{RUN}/logs/calibrate/{{model}}.log",
    conda:
        "../envs/environment.yaml"
    threads: THREADS
    resources:
        gpu=GPU,
    params:
        settings=prediction_settings(),
        seed=config["seed"],
        precision=config["precision"],
        device=config["device"],
    shell:
        "python -m workflow_scripts.calibrate --weights {input.weights:q} --labelled {input.labelled:q}"
        " --seed {params.seed} --settings {params.settings:q} --precision {params.precision}"
        " --device {params.device} --threads {threads} --output {output:q} --log {log:q}"


rule predict:
    """Predict class and confidence of one shard of an image set."""
    input:
        weights=f"{RUN}/models/{{model}}/{PREDICTING}.safetensors",
        temperature=temperature,
        images=image_set_manifest,
        mask=ego_vehicle_mask(),
    output:
        predictions=temp(f"{RUN}/predictions/{{model}}/{{image_set}}/{{shard}}.h5"),
        histogram=temp(f"{RUN}/predictions/{{model}}/{{image_set}}/{{shard}}.histogram.npz"),
    log:
        f"{RUN}/logs/predict/{{model}}/{{image_set}}/{{shard}}.log",
    conda:
        "../envs/environment.yaml"
    threads: THREADS
    resources:
        gpu=GPU,
    params:
        settings=settings_of_image_set,
        shards=SHARDS,
        inputs=lambda wildcards, input: flags(temperature=input.temperature, ego_vehicle_mask=input.mask),
        precision=config["precision"],
        device=config["device"],
        prefix=lambda wildcards, output: output.predictions.removesuffix(".h5"),
    shell:
        "python -m workflow_scripts.predict --weights {input.weights:q} --images {input.images:q}"
        " --shard {wildcards.shard} --shards {params.shards} --settings {params.settings:q} {params.inputs}"
        " --precision {params.precision} --device {params.device} --threads {threads}"
        " --output {params.prefix:q} --log {log:q}"


rule evaluate:
    """Score a model on the labelled test set."""
    input:
        unpack(scored),
        labelled=f"{RUN}/data/{{dataset}}/train_ids.tsv",
        class_subsets=own_definitions(*config["evaluation"]["class_subsets"]),
    output:
        scores=f"{RUN}/evaluation/{{model}}/{{dataset}}/scores.json",
        confusion=f"{RUN}/evaluation/{{model}}/{{dataset}}/confusion.tsv",
        picture=f"{RUN}/evaluation/{{model}}/{{dataset}}/confusion.png",
    log:
        f"{RUN}/logs/evaluate/{{model}}/{{dataset}}.log",
    conda:
        "../envs/environment.yaml"
    threads: THREADS
    resources:
        gpu=0 if SHARDS > 1 else GPU,
    params:
        settings=evaluation_settings(),
        write_outputs="--write-outputs" if config["evaluation"]["write_outputs"] else "",
        class_subsets=flags(class_subsets=config["evaluation"]["class_subsets"]),
        scoring=scoring,
        precision=config["precision"],
        device=config["device"],
        folder=lambda wildcards, output: os.path.dirname(output.scores),
    shell:
        "python -m workflow_scripts.evaluate --name {wildcards.model} {params.scoring}"
        " --labelled {input.labelled:q} --settings {params.settings:q} {params.write_outputs}"
        " {params.class_subsets} --precision {params.precision} --device {params.device}"
        " --threads {threads} --output {params.folder:q} --log {log:q}"
