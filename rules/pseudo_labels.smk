# From predictions to the label sets that models train on: self-training, co-training, ensemble.


localrules:
    choose_subset,
    thresholds,
    accumulate,


# HDF5 lets one thread read at a time: more than these label no faster.
LABELLING_THREADS = 4


rule choose_subset:
    """Draw the target images that a round or cycle labels."""
    input:
        images=lambda wildcards: f"{RUN}/data/{target_dataset(wildcards.step)}/images.tsv",
        pairs=lambda wildcards: (
            f"{RUN}/data/{config['target']}/images.tsv"
            if target_dataset(wildcards.step) != config["target"]
            else []
        ),
    output:
        f"{RUN}/pseudo_labels/{{step}}/subset.tsv",
    log:
        f"{RUN}/logs/choose_subset/{{step}}.log",
    conda:
        "../envs/environment.yaml"
    params:
        choice=lambda wildcards: subset_choice(wildcards.step),
        pairs=lambda wildcards, input: flags(paired_with=input.pairs),
    shell:
        "python -m workflow_scripts.choose_subset --images {input.images:q} {params.pairs} {params.choice}"
        " --output {output:q} --log {log:q}"


rule thresholds:
    """Find one confidence threshold per class from the confidence histograms of all shards."""
    input:
        lambda wildcards: shards(wildcards.labelling, ".histogram.npz"),
    output:
        f"{RUN}/pseudo_labels/{{labelling}}/thresholds.json",
    log:
        f"{RUN}/logs/thresholds/{{labelling}}.log",
    conda:
        "../envs/environment.yaml"
    params:
        label_space=LABEL_SPACE,
        settings=threshold_settings,
    shell:
        "python -m workflow_scripts.thresholds --histograms {input:q} --label-space {params.label_space}"
        " {params.settings} --output {output:q} --log {log:q}"


rule label_round:
    """Self-training: label a round's subset and keep the images that the model is surest of."""
    input:
        subset=f"{RUN}/pseudo_labels/self_training/{{round}}/subset.tsv",
        predictions=lambda wildcards: shards(f"self_training/{wildcards.round}", ".h5"),
        thresholds=f"{RUN}/pseudo_labels/self_training/{{round}}/thresholds.json",
        mask=ego_vehicle_mask(),
        priors=class_priors(),
    output:
        manifest=f"{RUN}/pseudo_labels/self_training/{{round}}/selected.tsv",
        scores=f"{RUN}/pseudo_labels/self_training/{{round}}/scores.tsv",
        labels=directory(f"{RUN}/pseudo_labels/self_training/{{round}}/labels"),
    log:
        f"{RUN}/logs/label_round/{{round}}.log",
    conda:
        "../envs/environment.yaml"
    threads: LABELLING_THREADS
    params:
        label_space=LABEL_SPACE,
        ranking=SELF_TRAINING["ranking"],
        keep=SELF_TRAINING["keep"],
        mask=lambda wildcards, input: flags(ego_vehicle_mask=input.mask),
        priors=lambda wildcards, input: flags(class_priors=input.priors, step=int(wildcards.round)),
        folder=lambda wildcards, output: os.path.dirname(output.manifest),
    shell:
        "python -m workflow_scripts.label_round --subset {input.subset:q} --predictions {input.predictions:q}"
        " --thresholds {input.thresholds:q} --label-space {params.label_space} --ranking {params.ranking}"
        " --keep {params.keep} {params.mask} {params.priors} --threads {threads}"
        " --output {params.folder:q} --log {log:q}"


rule exchange:
    """Co-training: label a cycle's images with both models; each branch sends the other its best."""
    input:
        subset_a=f"{RUN}/pseudo_labels/co_training/{{cycle}}/a/subset.tsv",
        subset_b=f"{RUN}/pseudo_labels/co_training/{{cycle}}/b/subset.tsv",
        predictions_a=lambda wildcards: shards(f"co_training/{wildcards.cycle}/a", ".h5"),
        predictions_b=lambda wildcards: shards(f"co_training/{wildcards.cycle}/b", ".h5"),
        thresholds_a=f"{RUN}/pseudo_labels/co_training/{{cycle}}/a/thresholds.json",
        thresholds_b=f"{RUN}/pseudo_labels/co_training/{{cycle}}/b/thresholds.json",
        mask=ego_vehicle_mask(),
    output:
        manifests=expand(
            f"{RUN}/pseudo_labels/co_training/{{{{cycle}}}}/{{branch}}/selected.tsv",
            branch=["a", "b"],
        ),
        scores=expand(
            f"{RUN}/pseudo_labels/co_training/{{{{cycle}}}}/{{branch}}/scores.tsv",
            branch=["a", "b"],
        ),
        labels=[
            directory(f"{RUN}/pseudo_labels/co_training/{{cycle}}/a/labels"),
            directory(f"{RUN}/pseudo_labels/co_training/{{cycle}}/b/labels"),
        ],
    log:
        f"{RUN}/logs/exchange/{{cycle}}.log",
    conda:
        "../envs/environment.yaml"
    threads: LABELLING_THREADS
    params:
        label_space=LABEL_SPACE,
        # In the first cycle both models are fresh from self-training; they fill each other from the second on.
        choice=lambda wildcards: flags(
            fill=CO_TRAINING["fill"] if int(wildcards.cycle) > 0 else "none",
            min_pixels=CO_TRAINING["min_pixels"],
            ranking=CO_TRAINING["ranking"],
            collaboration=CO_TRAINING["collaboration"],
            keep=CO_TRAINING["keep"],
        ),
        mask=lambda wildcards, input: flags(ego_vehicle_mask=input.mask),
        folder=lambda wildcards, output: os.path.dirname(os.path.dirname(output.manifests[0])),
    shell:
        "python -m workflow_scripts.exchange --subset-a {input.subset_a:q} --subset-b {input.subset_b:q}"
        " --predictions-a {input.predictions_a:q} --predictions-b {input.predictions_b:q}"
        " --thresholds-a {input.thresholds_a:q} --thresholds-b {input.thresholds_b:q}"
        " --label-space {params.label_space} {params.choice} {params.mask} --threads {threads}"
        " --output {params.folder:q} --log {log:q}"


rule accumulate:
    """Merge a step's images into those of the steps before it: this is what its model trains on."""
    input:
        previous=accumulated_before,
        selected=f"{RUN}/pseudo_labels/{{step}}/selected.tsv",
    output:
        f"{RUN}/pseudo_labels/{{step}}/accumulated.tsv",
    log:
        f"{RUN}/logs/accumulate/{{step}}.log",
    conda:
        "../envs/environment.yaml"
    params:
        previous=lambda wildcards, input: flags(previous=input.previous),
        choice=lambda wildcards: flags(
            mode=section(wildcards.step)["accumulation"],
            ranking=section(wildcards.step)["ranking"],
            step=f"{number(wildcards.step):02d}",
        ),
    shell:
        "python -m workflow_scripts.accumulate {params.previous} --selected {input.selected:q} {params.choice}"
        " --output {output:q} --log {log:q}"


rule relabel:
    """Label the accumulated images again with the model just trained; better labels replace old ones."""
    input:
        accumulated=f"{RUN}/pseudo_labels/{{step}}/accumulated.tsv",
        predictions=lambda wildcards: shards(f"{wildcards.step}/relabelled", ".h5"),
        thresholds=f"{RUN}/pseudo_labels/{{step}}/relabelled/thresholds.json",
        mask=ego_vehicle_mask(),
    output:
        manifest=f"{RUN}/pseudo_labels/{{step}}/relabelled/manifest.tsv",
        labels=directory(f"{RUN}/pseudo_labels/{{step}}/relabelled/labels"),
    log:
        f"{RUN}/logs/relabel/{{step}}.log",
    conda:
        "../envs/environment.yaml"
    threads: LABELLING_THREADS
    params:
        label_space=LABEL_SPACE,
        ranking=lambda wildcards: section(wildcards.step)["ranking"],
        mask=lambda wildcards, input: flags(ego_vehicle_mask=input.mask),
        folder=lambda wildcards, output: os.path.dirname(output.manifest),
    shell:
        "python -m workflow_scripts.relabel --accumulated {input.accumulated:q}"
        " --predictions {input.predictions:q} --thresholds {input.thresholds:q}"
        " --label-space {params.label_space} --ranking {params.ranking} {params.mask} --threads {threads}"
        " --output {params.folder:q} --log {log:q}"


rule ensemble_labels:
    """Label the whole target with the last models of both branches, for the final training."""
    input:
        images=f"{RUN}/data/{config['target']}/images.tsv",
        predictions_a=shards("ensemble/a", ".h5"),
        predictions_b=shards("ensemble/b", ".h5"),
        thresholds=expand(
            f"{RUN}/pseudo_labels/ensemble/{{branch}}/thresholds.json",
            branch=["a", "b"],
        ),
        images_b=f"{RUN}/data/{target_dataset('co_training/b')}/images.tsv",
        mask=ego_vehicle_mask(),
    output:
        manifest=f"{RUN}/pseudo_labels/ensemble/manifest.tsv",
        labels=directory(f"{RUN}/pseudo_labels/ensemble/labels"),
    log:
        f"{RUN}/logs/ensemble_labels.log",
    conda:
        "../envs/environment.yaml"
    threads: LABELLING_THREADS
    params:
        label_space=LABEL_SPACE,
        mask=lambda wildcards, input: flags(ego_vehicle_mask=input.mask),
        folder=lambda wildcards, output: os.path.dirname(output.manifest),
    shell:
        "python -m workflow_scripts.ensemble_labels --images {input.images:q} --images-b {input.images_b:q}"
        " --predictions-a {input.predictions_a:q} --predictions-b {input.predictions_b:q}"
        " --thresholds {input.thresholds:q} --label-space {params.label_space} {params.mask} --threads {threads}"
        " --output {params.folder:q} --log {log:q}"
