"""A training that several processes share, started by the very command that the rule builds.

It starts from a model of another run, and its images become JPEG files in three colours each.
"""

import json


def test_two_processes_train_a_model_of_the_workflow(run, finished_run):
    first = "first weights.safetensors"
    [first_bytes] = finished_run.bytes_of("models/final/weights.safetensors")
    (run.folder / first).write_bytes(first_bytes)
    configuration = run.configuration()
    configuration["baseline"]["initial_weights"] = first
    configuration["translation"] = {"format": "jpg", "targets_per_image": 3}
    run.configure(configuration | {"gpus_per_training": 2})
    done = run.snakemake("--", "results/tiny/models/baseline/weights.safetensors")
    assert done.returncode == 0, done.stdout[-3000:]
    record = json.loads(
        (run.folder / "results" / "tiny" / "models" / "baseline" / "training.json").read_text()
    )
    assert record["processes"] == 2
    assert first in record["parents"]
    translated = run.folder / "results" / "tiny" / "translated" / "synthetic" / "images"
    assert len(list(translated.glob("*.jpg"))) == 8 * 3
