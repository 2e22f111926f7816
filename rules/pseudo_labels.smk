# From predictions to the label sets that models train on: self-training, co-training, ensemble.


rule choose_subset:
    """Draw the target images that a round or cycle labels."""
    input:
        images=lambda wildcards: target_images(step_of(wildcards)),
        paired_with=paired_images,
    output:
        f"{RUN}/pseudo_labels/{{step}}/subset.tsv",
    log:
        f"{RUN}/logs/choose_subset/{{step}}.log",
    benchmark:
        f"{RUN}/logs/choose_subset/{{step}}.tsv"
    localrule: True
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_lists),
    params:
        inputs=flags_of_inputs("images", "paired_with"),
        draw=lambda wildcards: flags(**plan.subset_draw(step_of(wildcards))._asdict()),
    shell:
        "python -m workflow_scripts.choose_subset {params.inputs} {params.draw}"
        " --output {output:q} --log-file {log:q}"


rule thresholds:
    """Find one confidence threshold per class from the confidence histograms of all shards."""
    input:
        histograms=lambda wildcards: shards(wildcards.labelling, ".histogram.npz"),
        # Ancient, since no threshold depends on them.
        source_checks=ancient(SOURCE_CHECKS),
    output:
        f"{RUN}/pseudo_labels/{{labelling}}/thresholds.json",
    log:
        f"{RUN}/logs/thresholds/{{labelling}}.log",
    benchmark:
        f"{RUN}/logs/thresholds/{{labelling}}.tsv"
    localrule: True
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_lists),
        # A resource, since a change of it is no reason to label again.
        on_collapse=configuration.on_collapse,
    params:
        label_space=LABEL_SPACE,
        inputs=flags_of_inputs("histograms", "source_checks"),
        name=lambda wildcards: str(plan.predicted(Labelling.parse(wildcards.labelling))[0]),
        choices=lambda wildcards: flags(
            **plan.threshold_choices(Labelling.parse(wildcards.labelling))._asdict()
        ),
    shell:
        "python -m workflow_scripts.thresholds {params.inputs} --label-space {params.label_space}"
        " {params.choices} --name {params.name} --on-collapse {resources.on_collapse}"
        " --output {output:q} --log-file {log:q}"


rule label_round:
    """Self-training: label a round's subset and keep the best images."""
    input:
        subset=f"{RUN}/pseudo_labels/self_training/{{round}}/subset.tsv",
        predictions=lambda wildcards: shards(f"self_training/{wildcards.round}", ".h5"),
        thresholds=f"{RUN}/pseudo_labels/self_training/{{round}}/thresholds.json",
        ego_vehicle_mask=EGO_VEHICLE_MASK,
        class_priors=class_priors(),
    output:
        manifest=f"{RUN}/pseudo_labels/self_training/{{round}}/selected.tsv",
        scores=f"{RUN}/pseudo_labels/self_training/{{round}}/scores.tsv",
        labels=directory(not_stored(f"{RUN}/pseudo_labels/self_training/{{round}}/labels")),
    log:
        f"{RUN}/logs/label_round/{{round}}.log",
    benchmark:
        f"{RUN}/logs/label_round/{{round}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: LABELLING_THREADS
    resources:
        **needs(of_labelling),
    params:
        label_space=LABEL_SPACE,
        inputs=flags_of_inputs("subset", "predictions", "thresholds", "ego_vehicle_mask", "class_priors"),
        ranking=configuration.self_training.ranking,
        keep=configuration.self_training.keep,
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.label_round {params.inputs} --label-space {params.label_space}"
        " --ranking {params.ranking} --keep {params.keep} --round {wildcards.round} --threads {threads}"
        " --output {params.folder:q} --log-file {log:q}"


rule exchange:
    """Co-training: label a cycle's images with both models; each branch gets the best of the other."""
    input:
        subset_a=f"{RUN}/pseudo_labels/co_training/{{cycle}}/a/subset.tsv",
        subset_b=f"{RUN}/pseudo_labels/co_training/{{cycle}}/b/subset.tsv",
        predictions_a=lambda wildcards: shards(f"co_training/{wildcards.cycle}/a", ".h5"),
        predictions_b=lambda wildcards: shards(f"co_training/{wildcards.cycle}/b", ".h5"),
        thresholds_a=f"{RUN}/pseudo_labels/co_training/{{cycle}}/a/thresholds.json",
        thresholds_b=f"{RUN}/pseudo_labels/co_training/{{cycle}}/b/thresholds.json",
        ego_vehicle_mask=EGO_VEHICLE_MASK,
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
            directory(not_stored(f"{RUN}/pseudo_labels/co_training/{{cycle}}/a/labels")),
            directory(not_stored(f"{RUN}/pseudo_labels/co_training/{{cycle}}/b/labels")),
        ],
    log:
        f"{RUN}/logs/exchange/{{cycle}}.log",
    benchmark:
        f"{RUN}/logs/exchange/{{cycle}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: LABELLING_THREADS
    resources:
        **needs(of_labelling),
    params:
        label_space=LABEL_SPACE,
        inputs=flags_of_inputs(
            *("subset_a", "subset_b", "predictions_a", "predictions_b", "thresholds_a", "thresholds_b"),
            "ego_vehicle_mask",
        ),
        choices=lambda wildcards: flags(**plan.exchange_choices(int(wildcards.cycle))._asdict()),
        folder=lambda wildcards, output: os.path.dirname(os.path.dirname(output.manifests[0])),
    shell:
        "python -m workflow_scripts.exchange {params.inputs} --label-space {params.label_space}"
        " {params.choices} --threads {threads}"
        " --output {params.folder:q} --log-file {log:q}"


rule accumulate:
    """Add the images of a round or cycle to those before it; the new model is trained on all of them."""
    input:
        previous=accumulated_before,
        selected=f"{RUN}/pseudo_labels/{{step}}/selected.tsv",
    output:
        f"{RUN}/pseudo_labels/{{step}}/accumulated.tsv",
    log:
        f"{RUN}/logs/accumulate/{{step}}.log",
    benchmark:
        f"{RUN}/logs/accumulate/{{step}}.tsv"
    localrule: True
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_lists),
    params:
        inputs=flags_of_inputs("previous", "selected"),
        choices=lambda wildcards: flags(**plan.accumulation_choices(step_of(wildcards))._asdict()),
    shell:
        "python -m workflow_scripts.accumulate {params.inputs} {params.choices}"
        " --output {output:q} --log-file {log:q}"


rule relabel:
    """Label the accumulated images again with the new model; better labels replace old ones."""
    input:
        accumulated=f"{RUN}/pseudo_labels/{{step}}/accumulated.tsv",
        predictions=lambda wildcards: shards(f"{wildcards.step}/relabelled", ".h5"),
        thresholds=f"{RUN}/pseudo_labels/{{step}}/relabelled/thresholds.json",
        ego_vehicle_mask=EGO_VEHICLE_MASK,
    output:
        manifest=f"{RUN}/pseudo_labels/{{step}}/relabelled/manifest.tsv",
        labels=directory(not_stored(f"{RUN}/pseudo_labels/{{step}}/relabelled/labels")),
    log:
        f"{RUN}/logs/relabel/{{step}}.log",
    benchmark:
        f"{RUN}/logs/relabel/{{step}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: LABELLING_THREADS
    resources:
        **needs(of_labelling),
    params:
        label_space=LABEL_SPACE,
        inputs=flags_of_inputs("accumulated", "predictions", "thresholds", "ego_vehicle_mask"),
        ranking=lambda wildcards: plan.stage_of(step_of(wildcards)).ranking,
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.relabel {params.inputs} --label-space {params.label_space}"
        " --ranking {params.ranking} --threads {threads}"
        " --output {params.folder:q} --log-file {log:q}"


rule ensemble_labels:
    """Label a shard of the whole target with the last models of both branches."""
    input:
        images=TARGET_IMAGES,
        predictions_a=lambda wildcards: shards("ensemble/a", ".h5")[int(wildcards.shard)],
        predictions_b=lambda wildcards: shards("ensemble/b", ".h5")[int(wildcards.shard)],
        thresholds_a=f"{RUN}/pseudo_labels/ensemble/a/thresholds.json",
        thresholds_b=f"{RUN}/pseudo_labels/ensemble/b/thresholds.json",
        images_b=second_target_images() or TARGET_IMAGES,
        ego_vehicle_mask=EGO_VEHICLE_MASK,
    output:
        manifest=temp(not_stored(f"{RUN}/pseudo_labels/ensemble/shards/{{shard}}/manifest.tsv")),
        labels=temp(directory(not_stored(f"{RUN}/pseudo_labels/ensemble/shards/{{shard}}/labels"))),
    log:
        f"{RUN}/logs/ensemble_labels/{{shard}}.log",
    benchmark:
        f"{RUN}/logs/ensemble_labels/{{shard}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: LABELLING_THREADS
    resources:
        **needs(of_labelling),
    params:
        label_space=LABEL_SPACE,
        inputs=flags_of_inputs(
            *("images", "images_b", "predictions_a", "predictions_b", "thresholds_a", "thresholds_b"),
            "ego_vehicle_mask",
        ),
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.ensemble_labels {params.inputs} --label-space {params.label_space}"
        " --threads {threads}"
        " --output {params.folder:q} --log-file {log:q}"


rule join_ensemble:
    """Make one set of the labels of all shards, or of what the branches have accumulated, for the final training."""
    input:
        images=TARGET_IMAGES,
        shards=ensemble_shards("manifest.tsv"),
        labels=ensemble_shards("labels"),
        accumulated=accumulated_for_final(),
        thresholds=final_thresholds(),
    output:
        manifest=f"{RUN}/pseudo_labels/ensemble/manifest.tsv",
        labels=directory(not_stored(f"{RUN}/pseudo_labels/ensemble/labels")),
    log:
        f"{RUN}/logs/join_ensemble.log",
    benchmark:
        f"{RUN}/logs/join_ensemble.tsv"
    conda:
        "../envs/environment.yaml"
    threads: LABELLING_THREADS
    resources:
        **needs(of_lists),
    params:
        label_space=LABEL_SPACE,
        inputs=flags_of_inputs("images", "shards", "accumulated", "thresholds"),
        ranking=configuration.co_training.ranking,
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.join_ensemble {params.inputs}"
        " --ranking {params.ranking} --label-space {params.label_space} --threads {threads}"
        " --output {params.folder:q} --log-file {log:q}"
