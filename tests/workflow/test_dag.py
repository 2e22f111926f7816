"""The graph of jobs, asked from Snakemake without running any."""

import re


def dry_run(run, target):
    """Return what a dry run says of each job on the way to `target`."""
    done = run.snakemake("--dry-run", "--quiet", "host", "--", target)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def planned_jobs(run, *arguments):
    """Return {rule: number of jobs} of a dry run."""
    done = run.snakemake(*arguments, "--dry-run", "--quiet", "rules")
    assert done.returncode == 0, done.stdout[-3000:]
    table = done.stdout.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}


def test_paper_sized_graph(run):
    """10 rounds, 5 cycles, 8 shards; images are labelled anew after the first 4 rounds and 4 cycles."""
    configuration = run.configuration()
    configuration["prediction"]["shards"] = 8
    configuration["self_training"] |= {"rounds": 10, "relabel_rounds": 4}
    configuration["co_training"] |= {"cycles": 5, "relabel_cycles": 4}
    run.configure(configuration)
    jobs = planned_jobs(run)
    models = 1 + 10 + 5 * 2 + 1
    assert jobs["train"] == jobs["evaluate"] == models
    labellings = 10 + 4 + 2 * (5 + 4) + 2
    assert jobs["thresholds"] == labellings
    assert jobs["predict"] == 8 * labellings
    assert jobs["relabel"] == 4 + 2 * 4
    assert jobs["choose_subset"] == jobs["accumulate"] == 10 + 2 * 5
    assert jobs["label_round"] == 10
    assert jobs["exchange"] == 5
    assert jobs["ensemble_labels"] == jobs["report"] == 1


def test_contact_sheets_show_labels_only_where_the_run_reads_them(run):
    output = dry_run(run, "contact_sheets")
    shown = re.findall(r"rule contact_sheet:\n +input: results/tiny/data/(\S+)\n", output)
    assert sorted(shown) == ["camera/images.tsv", "camera_test/train_ids.tsv", "synthetic/train_ids.tsv"]


def test_class_priors_of_the_source_are_made_once_and_used_in_every_round(run):
    configuration = run.configuration()
    configuration["self_training"]["class_priors"] = "source"
    run.configure(configuration)
    jobs = planned_jobs(run)
    assert jobs["class_priors"] == 1
    assert jobs["label_round"] == 2
    assert "data/class_priors.npy" in dry_run(run, "results/tiny/pseudo_labels/self_training/01/selected.tsv")


def test_upper_bound_is_trained_only_when_asked(run):
    assert planned_jobs(run)["train"] == 6
    configuration = run.configuration() | {"upper_bound": True}
    run.configure(configuration)
    assert planned_jobs(run)["train"] == 7


def test_second_target_is_drawn_for_branch_b_alone(run):
    configuration = run.configuration()
    # The test images stand for a second view, paired with the first ones by their place in the list.
    configuration["co_training"] |= {"same_domain": False, "target_b": "camera_test"}
    run.configure(configuration)
    output = dry_run(run, "results/tiny/pseudo_labels/co_training/00/b/selected.tsv")
    images = "results/tiny/data/{}/images.tsv"
    jobs = re.findall(r"rule choose_subset:\n +input: (.*)\n +output: .*co_training/00/(\w)/", output)
    inputs = {branch: files for files, branch in jobs}
    assert inputs["a"] == images.format("camera")
    assert inputs["b"] == f"{images.format('camera_test')}, {images.format('camera')}"


def test_branches_start_from_their_rounds(run):
    output = dry_run(run, "results/tiny/models/co_training/00/b/weights.safetensors")
    [inputs] = re.findall(r"rule train:\n +input: (.*)\n +output: .*co_training/00/b/", output)
    assert "results/tiny/models/self_training/01/weights.safetensors" in inputs
    assert "results/tiny/models/self_training/00/weights.safetensors" not in inputs


def test_no_gpu_is_asked_for_on_a_cpu(run):
    assert "gpu=1" not in dry_run(run, "baseline")
    run.configure(run.configuration() | {"device": "auto"})
    assert "gpu=1" in dry_run(run, "baseline")


def test_upper_bound_asked_for_afterwards_trains_nothing_else(finished_run, run):
    """What is finished stays: only the upper bound, the checks of its labels and the report are added."""
    import shutil

    shutil.rmtree(run.folder)
    shutil.copytree(finished_run.folder, run.folder)
    (run.folder / "some data" / "camera" / "labels").mkdir(exist_ok=True)
    run.configure(run.configuration() | {"upper_bound": True})
    jobs = planned_jobs(run)
    assert jobs["train"] == jobs["evaluate"] == 1
    assert "translate" not in jobs
    assert "predict" not in jobs


def test_saving_more_often_trains_nothing_anew(finished_run):
    configuration = finished_run.configuration()
    try:
        changed = configuration["training"] | {"save_every_iterations": 7, "log_every_iterations": 3}
        finished_run.configure(configuration | {"training": changed})
        assert "Nothing to be done" in finished_run.snakemake("--dry-run").stdout
    finally:
        finished_run.configure(configuration)
