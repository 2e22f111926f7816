"""What a person looks at before a long training, and the ways in which a training can be run."""

import re

from PIL import Image

BASELINE = "models/baseline/weights.safetensors"


def test_a_sheet_of_batches_and_an_estimate(finished_run):
    done = finished_run.snakemake("batch_sheets", "estimate")
    assert done.returncode == 0, done.stdout[-4000:]
    results = finished_run.folder / "results" / "tiny"
    with Image.open(results / "models" / "baseline" / "batches.png") as sheet:
        assert min(sheet.size) > 200
    estimate = (results / "report" / "estimate.txt").read_text()
    assert estimate in done.stdout
    rows = [line.split()[0] for line in estimate.split("\n\n")[0].splitlines()]
    assert rows == ["baseline", "self_training", "co_training", "final", "labelling", "all"]
    assert "iterations a second, limited by" in estimate
    assert " GiB at most:" in estimate


def test_images_kept_decoded_train_the_same_weights(finished_run, run):
    configuration = run.configuration()
    configuration["training"]["decoded_cache"] = True
    run.configure(configuration)
    done = run.snakemake(f"results/tiny/{BASELINE}")
    assert done.returncode == 0, done.stdout[-4000:]
    assert list((run.folder / "results" / "tiny" / "decoded" / "synthetic").glob("*.npy"))
    assert run.bytes_of(BASELINE) == finished_run.bytes_of(BASELINE)


def test_several_processes_a_training(run):
    configuration = run.configuration()
    configuration["gpus_per_training"] = 2
    run.configure(configuration)
    done = run.snakemake("baseline", "--dry-run", "--printshellcmds", "--quiet", "host")
    assert done.returncode == 0, done.stdout[-4000:]
    launched = r"run --standalone --nproc-per-node 2 --signals-to-handle \S+,SIGUSR1 -m workflow_scripts"
    assert re.search(launched, done.stdout)
