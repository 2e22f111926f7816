# All models side by side, in numbers and in pictures, and the named targets of the workflow.


rule health:
    """How the models do without labels: a line for each, and a verdict with the likeliest causes."""
    input:
        images=sample_of(BASELINE),
        images_b=sample_of(plan.branch_steps[-1]) if second_target_images() else [],
        predictions=sample_predictions(*plan.models),
        labels=[learnt_labels(model) for model in plan.health().before],
        trainings=records(*plan.models),
        temperatures=[path for model in plan.models if (path := temperature_of(model))],
        scores=scores(*plan.models),
        source_checks=SOURCE_CHECKS,
        ego_vehicle_mask=EGO_VEHICLE_MASK,
        settings=settings("health"),
    output:
        [
            verdict("health.txt", "health of all models"),
            verdict("health.tsv", "class shares, for a spreadsheet"),
            f"{RUN}/report/health.json",
        ],
    log:
        f"{RUN}/logs/health.log",
    benchmark:
        f"{RUN}/logs/health.tsv"
    conda:
        "../envs/environment.yaml"
    threads: LABELLING_THREADS
    resources:
        **needs(of_labelling),
    params:
        inputs=flags_of_inputs("images", "images_b", "source_checks", "ego_vehicle_mask", "settings"),
        files=files_of_models,
        label_space=LABEL_SPACE,
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.health {params.inputs} {params.files} --label-space {params.label_space}"
        " --threads {threads} --output {params.folder:q} --log-file {log:q}"


rule report:
    """The table of all models: their scores or, without a test set, what is known without labels."""
    input:
        models=finished(*plan.models),
        records=[] if configuration.test else records(*plan.models),
        health=f"{RUN}/report/health.txt",
        # Its notes stand in the report.
        checked=CHECKS,
        # Before the report, because the table is the last that a run shows. An ancient one: it is also made
        # by `snakemake page`, at any time.
        photos=photo_sheet("final"),
        page=ancient(f"{RUN}/report/index.html"),
    output:
        comparison(
            "models.tsv", "all scores, for a spreadsheet" if configuration.test else "for a spreadsheet"
        ),
        f"{RUN}/report/models.md",
        comparison(
            "models.txt", "table of all models" + (" and of their classes" if configuration.test else "")
        ),
        [
            comparison("models.png", "mean IoU of all models"),
            comparison("classes.tsv", "IoU of each class, for a spreadsheet"),
        ]
        if configuration.test
        else [],
    log:
        f"{RUN}/logs/report.log",
    benchmark:
        f"{RUN}/logs/report.tsv"
    localrule: True
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_lists),
    params:
        models=models_in_report,
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.report {params.models} --checked {input.checked:q} --health {input.health:q}"
        " --output {params.folder:q} --log-file {log:q}"


rule photo_sheet:
    """Make a page that shows some of the target's photos as the models segment them, side by side."""
    input:
        images=f"{RUN}/sample/images.tsv",
        images_b=f"{RUN}/sample/images_b.tsv" if second_target_images() else [],
        predictions=lambda wildcards: sample_predictions(*shown_models(wildcards)),
        ego_vehicle_mask=EGO_VEHICLE_MASK,
        label_space=users_file(
            configuration.label_space if is_definition(configuration.label_space) else None
        ),
    output:
        report(
            f"{RUN}/report/{{sheet}}.jpg",
            caption="captions/photos.rst",
            category="Photos",
            labels={"content": "photos, as the models see them"},
        ),
    log:
        f"{RUN}/logs/photo_sheet/{{sheet}}.log",
    benchmark:
        f"{RUN}/logs/photo_sheet/{{sheet}}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_photos),
    params:
        inputs=flags_of_inputs("images", "images_b", "ego_vehicle_mask"),
        predictions=lambda wildcards, input: [
            f"{model}={path}" for model, path in zip(shown_models(wildcards), input.predictions)
        ],
        photos=flags(photos=len(configuration.report.photos) or None),
        label_space=LABEL_SPACE,
    shell:
        "python -m workflow_scripts.photo_sheet {params.inputs} --predictions {params.predictions:q}"
        " {params.photos} --label-space {params.label_space} --output {output:q} --log-file {log:q}"


rule model_card:
    """Say beside its weights what a model is, what it learnt from, how good it is and how to load it."""
    input:
        record=f"{RUN}/models/{{model}}/training.json",
        networks=f"{RUN}/data/networks.json",
        settings=settings("prediction"),
        scores=lambda wildcards: scores(wildcards.model),
        temperature=temperature,
        health=health_on_card,
        checked=CHECKS,
    output:
        f"{RUN}/models/{{model}}/README.md",
    log:
        f"{RUN}/logs/model_card/{{model}}.log",
    benchmark:
        f"{RUN}/logs/model_card/{{model}}.tsv"
    localrule: True
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(of_lists),
    params:
        inputs=flags_of_inputs("record", "networks", "settings", "scores", "temperature", "health", "checked"),
        names=names_on_card,
        label_space=LABEL_SPACE,
    shell:
        "python -m workflow_scripts.model_card {params.inputs} {params.names}"
        " --label-space {params.label_space} --output {output:q} --log-file {log:q}"


rule page_at_end:
    """The page of the finished run: whether it worked, pictures, how the models learnt, what it cost."""
    input:
        f"{RUN}/report/health.json",
        CHECKS,
        settings(WHOLE),
        records(*plan.models),
        scores(*plan.models),
        sample_manifests(),
        sample_predictions(*plan.models),
        test_sample(),
    output:
        report(
            f"{RUN}/report/index.html",
            caption="captions/page.rst",
            category="Page",
            labels={"content": "the page of the run, without its pictures"},
        ),
    log:
        f"{RUN}/logs/page_at_end.log",
    benchmark:
        f"{RUN}/logs/page_at_end.tsv"
    conda:
        "../envs/environment.yaml"
    threads: LABELLING_THREADS
    resources:
        **needs(of_photos),
    params:
        run=lambda wildcards, output: os.path.dirname(folder_of_output(wildcards, output)),
    shell:
        "python -m workflow_scripts.page --run {params.run:q} --threads {threads} --output {output:q}"
        " --log-file {log:q}"


rule page:
    """The page of the run as far as it is, at any time: nothing else is made, and no run is disturbed."""
    log:
        f"{RUN}/logs/page.log",
    # No benchmark: Snakemake would take it for an output, and make the page only once.
    localrule: True
    conda:
        "../envs/environment.yaml"
    threads: LABELLING_THREADS
    resources:
        **needs(of_photos),
    params:
        run=on_this_machine(RUN),
    shell:
        "python -m workflow_scripts.page --run {params.run:q} --threads {threads} --log-file {log:q}"


rule baseline:
    """The baseline, trained only on the translated source, and its scores."""
    input:
        described("baseline"),
        photo_sheet("baseline"),
        settings(WHOLE),


rule self_training:
    """All rounds of self-training, and their scores."""
    input:
        described("baseline", *plan.rounds),
        photo_sheet("self_training"),
        settings(WHOLE),


rule co_training:
    """All cycles of co-training, and their scores."""
    input:
        described("baseline", *plan.steps),
        photo_sheet("co_training"),
        settings(WHOLE),


rule final:
    """The final model, and its scores."""
    input:
        described("baseline", "final"),
        photo_sheet("final"),
        settings(WHOLE),


rule upper_bound:
    """The model trained with the labels of the target, to compare with, and its scores."""
    input:
        upper_bound_to_compare,
        settings(WHOLE),


rule oracle_study:
    """Compare a dataset's pseudo-labels with its true labels; only for analysis."""
    input:
        pseudo_labels=lambda wildcards: list(pseudo_label_sets(wildcards.dataset).values()),
        labelled=f"{RUN}/data/{{dataset}}/train_ids.tsv",
    output:
        f"{RUN}/oracle/{{dataset}}/oracle.json",
        study("oracle.txt", "tables"),
        study("steps.tsv", "steps, for a spreadsheet"),
        study("classes.tsv", "classes of each step, for a spreadsheet"),
    log:
        f"{RUN}/logs/oracle_study/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/oracle_study/{{dataset}}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: IMAGE_THREADS
    resources:
        **needs(of_dataset()),
    params:
        pseudo_labels=lambda wildcards, input: [
            f"{step}={path}" for step, path in zip(pseudo_label_sets(wildcards.dataset), input.pseudo_labels)
        ],
        label_space=LABEL_SPACE,
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.oracle_study --pseudo-labels {params.pseudo_labels:q}"
        " --labelled {input.labelled:q} --label-space {params.label_space} --threads {threads}"
        " --output {params.folder:q} --log-file {log:q}"


rule oracle_studies:
    """Precision and coverage of all pseudo-labels, if the target has labels; only for analysis."""
    input:
        oracle_reports,
