# Scores of all models side by side, and the named targets of the workflow.


localrules:
    report,
    oracle_studies,
    baseline,
    self_training,
    co_training,
    final,
    upper_bound,


rule report:
    """The table of all models: gain over the baseline, share of the gap closed."""
    input:
        scores=scores(*plan.models),
        # Not an ancient one: its notes stand in the report, and nothing depends on the report.
        checked=f"{RUN}/data/checked.json",
    output:
        multiext(f"{RUN}/report/models", ".tsv", ".md", ".txt", ".png"),
        f"{RUN}/report/classes.tsv",
    log:
        f"{RUN}/logs/report.log",
    conda:
        "../envs/environment.yaml"
    params:
        scores=[f"{model}={path}" for model, path in zip(plan.models, scores(*plan.models))],
        folder=folder_of_output,
    shell:
        "python -m workflow_scripts.report --scores {params.scores:q} --checked {input.checked:q}"
        " --output {params.folder:q} --log-file {log:q}"


rule baseline:
    """The baseline, trained only on the translated source, and its scores."""
    input:
        scores("baseline"),


rule self_training:
    """All rounds of self-training, and their scores."""
    input:
        scores("baseline", *plan.rounds),


rule co_training:
    """All cycles of co-training, and their scores."""
    input:
        scores("baseline", *plan.steps),


rule final:
    """The final model, and its scores."""
    input:
        scores("baseline", "final"),


rule upper_bound:
    """The model trained with the labels of the target, to compare with, and its scores."""
    input:
        scores("upper_bound"),


rule oracle_study:
    """Compare a dataset's pseudo-labels with its true labels; only for analysis."""
    input:
        pseudo_labels=lambda wildcards: list(pseudo_label_sets(wildcards.dataset).values()),
        labelled=f"{RUN}/data/{{dataset}}/train_ids.tsv",
    output:
        multiext(f"{RUN}/oracle/{{dataset}}/", "oracle.json", "oracle.txt", "steps.tsv", "classes.tsv"),
    log:
        f"{RUN}/logs/oracle_study/{{dataset}}.log",
    conda:
        "../envs/environment.yaml"
    threads: workflow.cores or 1
    params:
        pseudo_labels=lambda wildcards: [
            f"{step}={path}" for step, path in pseudo_label_sets(wildcards.dataset).items()
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
