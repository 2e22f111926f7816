"""A training that several processes share, started by the very command that the rule builds."""

import json


def test_two_processes_train_a_model_of_the_workflow(run):
    run.configure(run.configuration() | {"gpus_per_training": 2})
    done = run.snakemake("--", "results/tiny/models/baseline/weights.safetensors")
    assert done.returncode == 0, done.stdout[-3000:]
    record = json.loads(
        (run.folder / "results" / "tiny" / "models" / "baseline" / "training.json").read_text()
    )
    assert record["processes"] == 2
