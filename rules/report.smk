# Scores of all models side by side, and the named targets of the workflow.


localrules:
    report,
    baseline,
    self_training,
    co_training,
    final,
    upper_bound,


rule report:
    """The table of all models: gain over the baseline, share of the gap closed."""
    input:
        scores(all_models()),
    output:
        multiext(f"{RUN}/report/models", ".tsv", ".md", ".txt", ".png"),
        f"{RUN}/report/classes.tsv",
    log:
        f"{RUN}/logs/report.log",
    conda:
        "../envs/environment.yaml"
    params:
        scores=[f"{model}={path}" for model, path in zip(all_models(), scores(all_models()))],
        folder=lambda wildcards, output: os.path.dirname(output[0]),
    shell:
        "python -m workflow_scripts.summarise --scores {params.scores:q} --output-dir {params.folder:q} --log {log:q}"


rule baseline:
    """The model trained on the translated source alone, evaluated."""
    input:
        scores(["baseline"]),


rule self_training:
    """All rounds of self-training, evaluated."""
    input:
        scores(["baseline", *rounds()]),


rule co_training:
    """All cycles of co-training, evaluated."""
    input:
        scores(["baseline", *rounds(), *branches()]),


rule final:
    """The final model, evaluated."""
    input:
        scores(["baseline", "final"]),


rule upper_bound:
    """The model trained on the target's labels, to compare with; evaluated."""
    input:
        scores(["upper_bound"]),
