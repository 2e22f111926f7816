# Demo scenes, manifests, checks, label conversion, class statistics, colour translation.


rule render_scenes:
    """Render the streets of the embedded default; an interrupted rendering resumes with the next image."""
    input:
        settings=settings("datasets/{dataset}/images"),
    output:
        f"{RUN}/data/{{dataset}}/scenes/scenes.tsv",
    log:
        f"{RUN}/logs/render_scenes/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/render_scenes/{{dataset}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: IMAGE_THREADS
    resources:
        **needs(of_rendering),
    params:
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.render_scenes --settings {input.settings:q}"
        " --threads {threads} --output {params.folder:q} --log-file {log:q}"


rule make_manifest:
    """List a dataset's images, with labels (labelled) or without opening them (images)."""
    input:
        settings=settings("datasets/{dataset}/{labels}"),
        scenes=scenes_of,
        lists=list_files,
    output:
        f"{RUN}/data/{{dataset}}/{{labels}}.tsv",
    log:
        f"{RUN}/logs/make_manifest/{{dataset}}.{{labels}}.log",
    benchmark:
        f"{RUN}/logs/make_manifest/{{dataset}}.{{labels}}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_lists),
    params:
        with_labels=with_labels_flag,
        scenes=lambda wildcards, input: (flags(scenes=os.path.dirname(input.scenes)) if input.scenes else ""),
    shell:
        "python -m workflow_scripts.make_manifest --dataset {wildcards.dataset} --settings {input.settings:q}"
        " {params.with_labels} {params.scenes} --output {output:q} --log-file {log:q}"


rule check_data:
    """Decode every file of a dataset and say what is wrong, before anything is trained on it."""
    input:
        manifest=f"{RUN}/data/{{dataset}}/{{labels}}.tsv",
        settings=settings("datasets/{dataset}/{labels}"),
        definitions=label_definitions,
    output:
        report=f"{RUN}/data/{{dataset}}/{{labels}}.check.json",
        table=report(
            f"{RUN}/data/{{dataset}}/{{labels}}.check.txt",
            caption="captions/check.rst",
            category="Data",
            labels={"dataset": "{dataset}", "content": "check of {labels}"},
        ),
    log:
        f"{RUN}/logs/check_data/{{dataset}}.{{labels}}.log",
    benchmark:
        f"{RUN}/logs/check_data/{{dataset}}.{{labels}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: IMAGE_THREADS
    resources:
        **needs(of_dataset()),
    params:
        with_labels=with_labels_flag,
        label_space=LABEL_SPACE,
    shell:
        "python -m workflow_scripts.check_data --manifest {input.manifest:q} --discard --dataset {wildcards.dataset}"
        " --settings {input.settings:q} --label-space {params.label_space} {params.with_labels}"
        " --threads {threads} --output {output.report:q} --log-file {log:q}"


rule check_device:
    """Check that the demanded GPUs are there, before anything is translated or trained."""
    output:
        f"{RUN}/data/device.json",
    log:
        f"{RUN}/logs/check_device.log",
    benchmark:
        f"{RUN}/logs/check_device.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_network),
        gpu=GPU * PROCESSES,
    params:
        device=configuration.device,
        gpus_per_training=PROCESSES,
    shell:
        "python -m workflow_scripts.check_device --device {params.device}"
        " --gpus-per-training {params.gpus_per_training} --output {output:q} --log-file {log:q}"


rule collect_checks:
    """Collect all checks: translation and training wait for this file."""
    input:
        reports=check_reports(),
        networks=f"{RUN}/data/networks.json",
        source=manifests(plan.source_datasets, "labelled"),
        target=TARGET_IMAGES,
        test=manifests([configuration.test] if configuration.test else [], "labelled"),
        target_b=second_target_images(),
        class_priors=class_priors(),
        ego_vehicle_mask=EGO_VEHICLE_MASK,
        settings=settings("crops"),
        storage=settings("storage"),
        # For `report.photos`: a name that no image has is told before anything is trained.
        sample=sample_manifests(),
    output:
        CHECKS,
    log:
        f"{RUN}/logs/collect_checks.log",
    benchmark:
        f"{RUN}/logs/collect_checks.tsv"
    localrule: True
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_lists),
    params:
        inputs=flags_of_inputs(
            *("reports", "source", "target", "test", "target_b", "class_priors", "ego_vehicle_mask"),
            *("networks", "settings", "storage"),
        ),
        folders=folders_of_run,
    shell:
        "python -m workflow_scripts.collect_checks {params.inputs} {params.folders} --output {output:q} --log-file {log:q}"


rule convert_labels:
    """Convert a dataset's label files to the train ids of this run."""
    input:
        manifest=f"{RUN}/data/{{dataset}}/labelled.tsv",
        settings=settings("datasets/{dataset}/labelled"),
        check=f"{RUN}/data/{{dataset}}/labelled.check.json",
        definitions=label_definitions,
    output:
        f"{RUN}/data/{{dataset}}/train_ids.tsv",
    log:
        f"{RUN}/logs/convert_labels/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/convert_labels/{{dataset}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: IMAGE_THREADS
    resources:
        **needs(of_dataset()),
    params:
        label_space=LABEL_SPACE,
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.convert_labels --manifest {input.manifest:q} --dataset {wildcards.dataset}"
        " --settings {input.settings:q} --label-space {params.label_space} --threads {threads} --output {params.folder:q} --log-file {log:q}"


rule translate:
    """Give every source image the colours of a target image (LAB mean and deviation)."""
    input:
        source=f"{RUN}/data/{{dataset}}/train_ids.tsv",
        target=TARGET_IMAGES,
        checked=CHECKED,
    output:
        f"{RUN}/translated/{{dataset}}/manifest.tsv",
    log:
        f"{RUN}/logs/translate/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/translate/{{dataset}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: IMAGE_THREADS
    resources:
        **needs(of_translation),
    params:
        seed=configuration.seed,
        targets_per_image=configuration.translation.targets_per_image,
        format=configuration.translation.format,
        jpeg_quality=configuration.translation.jpeg_quality,
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.translate --source {input.source:q} --target {input.target:q}"
        " --seed {params.seed} --targets-per-image {params.targets_per_image} --format {params.format}"
        " --jpeg-quality {params.jpeg_quality} --threads {threads} --output {params.folder:q} --log-file {log:q}"


rule hold_out:
    """Keep some source images out of all trainings, so that models can be calibrated on them."""
    input:
        labelled=lambda wildcards: whole_source(wildcards.dataset),
    output:
        multiext(f"{RUN}/data/{{dataset}}/", "training.tsv", "held_out.tsv"),
    log:
        f"{RUN}/logs/hold_out/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/hold_out/{{dataset}}.tsv"
    localrule: True
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_lists),
    params:
        number=configuration.prediction.calibration_images,
        seed=configuration.seed,
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.hold_out --labelled {input.labelled:q} --number {params.number} --seed {params.seed}"
        " --output {params.folder:q} --log-file {log:q}"


rule contact_sheet:
    """Make a page that shows some images of a dataset with their labels in colour."""
    input:
        shown_on_sheet,
    output:
        report(
            f"{RUN}/data/{{dataset}}/contact_sheet.png",
            caption="captions/contact_sheet.rst",
            category="Data",
            labels={"dataset": "{dataset}", "content": "contact sheet"},
        ),
    log:
        f"{RUN}/logs/contact_sheet/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/contact_sheet/{{dataset}}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_dataset()),
    params:
        label_space=LABEL_SPACE,
    shell:
        "python -m workflow_scripts.contact_sheet --manifest {input:q} --label-space {params.label_space}"
        " --output {output:q} --log-file {log:q}"


rule contact_sheets:
    """Contact sheets of all datasets of the run."""
    input:
        [f"{RUN}/data/{dataset}/contact_sheet.png" for dataset in plan.datasets],


rule sample:
    """Choose a few target images, or test images, which models predict to be compared on them."""
    input:
        images=lambda wildcards: sampled_images(wildcards.view),
        paired_with=lambda wildcards: TARGET_IMAGES if wildcards.view == "images_b" else [],
    output:
        f"{RUN}/sample/{{view}}.tsv",
    log:
        f"{RUN}/logs/sample/{{view}}.log",
    benchmark:
        f"{RUN}/logs/sample/{{view}}.tsv"
    localrule: True
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_lists),
    params:
        inputs=flags_of_inputs("images", "paired_with"),
        number=plan.sample_images,
        seed=configuration.seed,
        photos=lambda wildcards: flags(
            photos=[] if wildcards.view.startswith("labelled/") else configuration.report.photos
        ),
    shell:
        "python -m workflow_scripts.sample {params.inputs} --number {params.number} --seed {params.seed}"
        " {params.photos} --output {output:q} --log-file {log:q}"


rule decode_images:
    """Store the decoded training images of a dataset, so that crops need no decoding."""
    input:
        images=lambda wildcards: training_images(wildcards.dataset),
        checked=CHECKED,
    output:
        f"{RUN}/decoded/{{dataset}}/index.tsv",
    log:
        f"{RUN}/logs/decode_images/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/decode_images/{{dataset}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: IMAGE_THREADS
    resources:
        **needs(of_dataset(written=DECODED)),
    params:
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.decode_images --manifest {input.images:q} --threads {threads}"
        " --output {params.folder:q} --log-file {log:q}"


rule class_priors:
    """Compute from the labels of the source where in the image each class is likely."""
    input:
        labelled=manifests(configuration.source, "train_ids"),
        target=TARGET_IMAGES,
    output:
        maps=f"{RUN}/data/class_priors.npy",
        picture=report(
            f"{RUN}/data/class_priors.png",
            caption="captions/class_priors.rst",
            category="Data",
            labels={"dataset": "source", "content": "class priors"},
        ),
    log:
        f"{RUN}/logs/class_priors.log",
    benchmark:
        f"{RUN}/logs/class_priors.tsv"
    conda:
        "../envs/environment.yaml"
    threads: IMAGE_THREADS
    resources:
        **needs(of_source),
    params:
        label_space=LABEL_SPACE,
    shell:
        "python -m workflow_scripts.class_priors --labelled {input.labelled:q} --target {input.target:q}"
        " --label-space {params.label_space} --threads {threads} --output {output.maps:q} --log-file {log:q}"


rule class_statistics:
    """Count the pixels of each class in every source image, for rare-class sampling."""
    input:
        manifest=lambda wildcards: source_manifest(wildcards.dataset),
    output:
        f"{RUN}/data/{{dataset}}/class_statistics.json",
    log:
        f"{RUN}/logs/class_statistics/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/class_statistics/{{dataset}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: IMAGE_THREADS
    resources:
        **needs(of_dataset()),
    params:
        label_space=LABEL_SPACE,
    shell:
        "python -m workflow_scripts.class_statistics --manifest {input.manifest:q} --label-space {params.label_space}"
        " --threads {threads} --output {output:q} --log-file {log:q}"
