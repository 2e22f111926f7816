"""The graph of jobs, asked from Snakemake without running any."""

import json
import os
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from cotrain.data.images import write_label


def dry_run(run, *targets):
    """Return what a dry run says of each job on the way to `targets`, and its commands."""
    done = run.snakemake("--dry-run", "--printshellcmds", "--quiet", "host", "--", *targets)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def planned_jobs(run, *arguments):
    """Return {rule: number of jobs} of a dry run."""
    done = run.snakemake(*arguments, "--dry-run", "--quiet", "rules")
    assert done.returncode == 0, done.stdout[-3000:]
    table = done.stdout.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}


def commands(run):
    """Return {(step, output): {flag: [values]}} of all jobs, with paths relative to the results."""
    found = {}
    for line in dry_run(run, "all").splitlines():
        command = line.replace("results/tiny/", "").removeprefix("Shell command: ")
        if command.startswith("python -m workflow_scripts."):
            flags, values = {}, []
            for word in shlex.split(command)[3:]:
                if word.startswith("--"):
                    values = flags.setdefault(word.removeprefix("--"), [])
                else:
                    values.append(word)
            step = command.split()[2].removeprefix("workflow_scripts.")
            found[step, flags.get("output", [""])[0]] = flags
    return found


def test_paper_sized_graph(run):
    """10 rounds, 5 cycles, 8 shards; images are labelled again after the first 4 rounds and 4 cycles."""
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
    assert jobs["predict"] == 8 * (labellings + models)
    assert jobs["predict_sample"] == models
    # Of the target and of the test set.
    assert (jobs["sample"], jobs["health"]) == (2, 1)
    assert jobs["relabel"] == 4 + 2 * 4
    assert jobs["choose_subset"] == jobs["accumulate"] == 10 + 2 * 5
    assert jobs["label_round"] == 10
    assert jobs["exchange"] == 5
    assert jobs["ensemble_labels"] == 8
    assert jobs["join_ensemble"] == jobs["report"] == jobs["photo_sheet"] == jobs["page_at_end"] == 1


def test_models_are_scored_by_their_shards_or_in_one_job(run):
    scores = "results/tiny/evaluation/baseline/camera_test/scores.json"
    predicted = "results/tiny/predictions/baseline/labelled/camera_test/{}.h5"
    inputs = f"rule evaluate:\n    input: {predicted.format(0)}, {predicted.format(1)}, "
    assert inputs in dry_run(run, scores)
    configuration = run.configuration()
    configuration["prediction"]["shards"] = 1
    run.configure(configuration)
    assert "rule predict:" not in dry_run(run, scores)


def test_the_protocol_of_the_score_changes_no_pseudo_label(run):
    configuration = run.configuration()
    configuration["evaluation"] = {"protocol": {"flip": True}}
    run.configure(configuration)
    of_scores = "--settings results/tiny/settings/evaluation.json"
    of_labels = "--settings results/tiny/settings/prediction.json"
    shard = "results/tiny/predictions/baseline/{}/0.h5"
    subset = dry_run(run, shard.format("subset/self_training/00"))
    assert of_labels in subset
    assert of_scores not in subset
    assert of_scores in dry_run(run, shard.format("labelled/camera_test"))
    configuration["prediction"]["shards"] = 1
    run.configure(configuration)
    scored = dry_run(run, "results/tiny/evaluation/baseline/camera_test/scores.json")
    assert of_scores in scored
    assert "settings/prediction.json" not in scored
    done = run.snakemake(
        "--", "results/tiny/settings/prediction.json", "results/tiny/settings/evaluation.json"
    )
    assert done.returncode == 0, done.stdout[-3000:]
    settings = run.folder / "results" / "tiny" / "settings"
    assert json.loads((settings / "prediction.json").read_text())["flip"] is False
    assert json.loads((settings / "evaluation.json").read_text())["flip"] is True


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


def test_images_are_kept_decoded_only_when_asked(run):
    assert "decode_images" not in planned_jobs(run)
    configuration = run.configuration()
    configuration["training"]["decoded_cache"] = True
    run.configure(configuration)
    # Of the source and of the target; the test images are for the score alone.
    assert planned_jobs(run)["decode_images"] == 2
    assert "decoded/camera/index.tsv" not in dry_run(run, "results/tiny/models/baseline/weights.safetensors")
    assert "decoded/camera/index.tsv" in dry_run(run, "results/tiny/models/final/weights.safetensors")


def test_own_definitions_are_inputs_of_what_reads_them(run):
    """A layout, its class table, a label space and a subset of its classes, all YAML files of the user's."""
    folder = run.folder
    (folder / "own layout.yaml").write_text(
        "trees: [{images: 'camera_test/{frame}.png', labels: 'camera_test/labels/{frame}.png'}]\n"
        "classes: own_ids.yaml\n"
    )
    (folder / "own_ids.yaml").write_text("ids: {0: road, 2: building, 8: vegetation, 10: sky}\n")
    classes = [
        f"- {{class: {name}, colour: [{index}, 0, 0]}}\n" for index, name in enumerate(["road", "sky"])
    ]
    (folder / "own space.yaml").write_text("".join(classes))
    (folder / "subset.yaml").write_text(classes[0])
    configuration = run.configuration() | {"label_space": "own space.yaml"}
    configuration["datasets"]["camera_test"] = {"layout": "own layout.yaml", "root": "some data"}
    configuration["evaluation"] = {"class_subsets": ["subset.yaml"]}
    run.configure(configuration)
    jobs = re.findall(r"rule (\w+):\n +input: (.*)\n +output: (.*)\n", dry_run(run, "baseline"))
    inputs = {rule: files.split(", ") for rule, files, outputs in jobs if "camera_test" in outputs}
    settings = "results/tiny/settings/datasets/camera_test/labelled.json"
    assert inputs["make_manifest"] == [settings, "own layout.yaml"]
    for rule in ("check_data", "convert_labels"):
        assert inputs[rule][-2:] == ["own space.yaml", "own_ids.yaml"]
    assert inputs["evaluate"][-1] == "subset.yaml"
    done = run.snakemake("--", "results/tiny/data/camera_test/train_ids.tsv")
    assert done.returncode == 0, done.stdout[-3000:]


def test_photos_show_the_last_model_of_each_stage_that_a_target_makes(run):
    configuration = run.configuration()
    configuration["report"] = {"photos": ["camera/03.png", "05"]}
    run.configure(configuration)
    # Before anything is trained, it is known whether there are such images.
    chosen = "--photos camera/03.png 05 --output results/tiny/sample/images.tsv"
    assert chosen in dry_run(run, "collect_checks")
    shown = {}
    output = dry_run(run, "baseline", "self_training", "co_training", "final")
    for command in re.findall(r"workflow_scripts\.photo_sheet (.*)", output):
        assert "--photos 2 " in command
        page = re.search(r"--output results/tiny/report/(\w+)\.jpg", command)[1]
        predictions = re.search(r"--predictions (.*?) --", command)[1].split()
        shown[page] = [prediction.partition("=")[0] for prediction in predictions]
    models = ["baseline", "self_training/01", "co_training/00/a", "co_training/00/b", "final"]
    assert shown == {
        "photos_baseline": models[:1],
        "photos_self_training": models[:2],
        "photos_co_training": models[:4],
        "photos": models,
    }


def test_upper_bound_is_trained_only_when_asked(run):
    assert planned_jobs(run)["train"] == 6
    # By its target: only the baseline and itself, whatever the configuration says.
    assert re.findall(r"\.train --name (\w+) .*--settings (\S+)", dry_run(run, "upper_bound")) == [
        (name, f"results/tiny/settings/training/{name}.json") for name in ("baseline", "upper_bound")
    ]
    run.configure(run.configuration() | {"upper_bound": True})
    assert planned_jobs(run)["train"] == 7


def test_second_target_is_labelled_by_branch_b_alone(run):
    configuration = run.configuration()
    # The test images stand for a second view, paired with the first ones by their place in the list.
    configuration["co_training"] |= {"same_domain": False, "target_b": "camera_test"}
    run.configure(configuration)
    output = dry_run(run, "results/tiny/pseudo_labels/ensemble/manifest.tsv")
    images = "results/tiny/data/{}/images.tsv"
    jobs = re.findall(r"rule choose_subset:\n +input: (.*)\n +output: .*co_training/00/(\w)/", output)
    inputs = {branch: files for files, branch in jobs}
    assert inputs["a"] == images.format("camera")
    assert inputs["b"] == f"{images.format('camera_test')}, {images.format('camera')}"
    # The ensemble is of the whole of both views, each predicted by its own branch.
    ensemble = re.findall(r"workflow_scripts\.ensemble_labels (.*)", output)
    assert len(ensemble) == 2
    for job in ensemble:
        assert f"--images {images.format('camera')} --images-b {images.format('camera_test')} " in job
    # Each is made from its own shard of both predictions.
    of_shards = [re.findall(r"/(\d)\.h5|shards/(\d) ", job) for job in ensemble]
    assert sorted(of_shards) == [[("0", ""), ("0", ""), ("", "0")], [("1", ""), ("1", ""), ("", "1")]]
    predicted = re.findall(r"--images (\S+) .* --output \S+/co_training/00/(\w)/target/\d+\.h5", output)
    assert set(predicted) == {(images.format("camera"), "a"), (images.format("camera_test"), "b")}


def test_the_models_of_branch_b_predict_the_same_scenes_of_their_own_view(run):
    configuration = run.configuration()
    configuration["co_training"] |= {"same_domain": False, "target_b": "camera_test"}
    run.configure(configuration)
    output = dry_run(run, "health")
    samples = dict(re.findall(r"rule sample:\n +input: (.*)\n +output: results/tiny/(\S+)", output))
    views = [f"results/tiny/data/{dataset}/images.tsv" for dataset in ("camera", "camera_test")]
    # Photos that the configuration names are those of the target.
    assert samples == {
        views[0]: "sample/images.tsv",
        f"{views[1]}, {views[0]}": "sample/images_b.tsv",
        "results/tiny/data/camera_test/train_ids.tsv": "sample/labelled/camera_test.tsv",
    }
    predicted = re.findall(r"--images results/tiny/(\S+) .* --output results/tiny/sample/(\S+)\.h5", output)
    of_b = [model for images, model in predicted if images == "sample/images_b.tsv"]
    assert of_b == ["co_training/00/b"]
    assert len(predicted) == 6
    # No label of the target, and none of the test set but its scores.
    [inputs] = re.findall(r"rule health:\n +input: (.*)\n", output)
    of_labels = [name for name in inputs.split(", ") if "camera" in name and "evaluation" not in name]
    assert of_labels == []


def test_calibration_holds_source_images_out_of_every_training(run):
    assert {"hold_out", "calibrate"}.isdisjoint(planned_jobs(run))
    configuration = run.configuration()
    configuration["prediction"]["calibration_images"] = 2
    run.configure(configuration)
    jobs = planned_jobs(run)
    assert jobs["hold_out"] == 1
    # Each model labels or is scored with a temperature of its own.
    assert jobs["calibrate"] == jobs["train"] == 6
    output = dry_run(run, "results/tiny/pseudo_labels/self_training/00/thresholds.json")
    inputs = dict(re.findall(r"rule (\w+):\n +input: (.*)\n", output))
    assert "results/tiny/data/synthetic/training.tsv" in inputs["train"]
    assert "translated/synthetic/manifest.tsv" not in inputs["train"]
    held_out = "results/tiny/data/synthetic/held_out.tsv"
    settings = "results/tiny/settings/prediction.json"
    assert inputs["calibrate"] == f"results/tiny/models/baseline/weights.safetensors, {held_out}, {settings}"
    assert "results/tiny/models/baseline/temperature.json" in inputs["predict"]


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
    # Its own scores, in two shards.
    assert jobs["predict"] == 2
    assert jobs["predict_sample"] == jobs["health"] == 1


def test_oracle_study_reads_labels_for_itself_alone(run):
    """Only the study and what lists, checks and converts the labels touches them; nothing reads the study."""
    assert "oracle" not in dry_run(run, "all")
    output = dry_run(run, "oracle_studies")
    jobs = re.findall(r"rule (\w+):\n +input: (.*)\n +output: (.*)\n", output)
    steps = ["self_training/00", "self_training/01", "co_training/00/a", "co_training/00/b"]
    [study] = [inputs for rule, inputs, _ in jobs if rule == "oracle_study"]
    manifests = [f"results/tiny/pseudo_labels/{step}/selected.tsv" for step in steps]
    manifests.append("results/tiny/pseudo_labels/ensemble/manifest.tsv")
    assert study.split(", ") == [*manifests, "results/tiny/data/camera/train_ids.tsv"]
    of_labels = r"data/camera/(train_ids\.tsv|labelled\.|labels)|some data/camera\.labels"
    readers = {rule for rule, inputs, _ in jobs if re.search(of_labels, inputs)}
    assert readers == {"make_manifest", "check_data", "convert_labels", "oracle_study"}
    assert not [rule for rule, inputs, _ in jobs if "oracle/" in inputs and rule != "oracle_studies"]


def test_oracle_study_needs_labels_of_the_target(run):
    configuration = run.configuration()
    del configuration["datasets"]["camera"]["labels"]
    run.configure(configuration)
    refused = run.snakemake("--dry-run", "oracle_studies")
    assert refused.returncode != 0
    assert "oracle_studies: the target 'camera' has no labels to compare pseudo-labels with" in refused.stdout
    assert "expected a value for datasets.camera.labels" in refused.stdout
    planned_jobs(run)


def test_oracle_study_of_two_views_compares_each_with_its_own_labels(run):
    configuration = run.configuration()
    configuration["co_training"] |= {"same_domain": False, "target_b": "camera_test"}
    run.configure(configuration)
    output = dry_run(run, "oracle_studies")
    studies = re.findall(r"rule oracle_study:\n +input: (.*)\n +output: results/tiny/oracle/(\w+)/", output)
    inputs = {dataset: files for files, dataset in studies}
    assert "co_training/00/a" in inputs["camera"]
    assert "ensemble" in inputs["camera"]
    assert inputs["camera_test"].split(", ") == [
        "results/tiny/pseudo_labels/co_training/00/b/selected.tsv",
        "results/tiny/data/camera_test/train_ids.tsv",
    ]


def test_oracle_study_of_a_finished_run_trains_nothing(finished_run, run):
    import csv
    import shutil

    labels = run.folder / "some data" / "camera" / "labels"
    kept = run.folder.with_name("labels")
    shutil.copytree(labels, kept)
    shutil.rmtree(run.folder)
    shutil.copytree(finished_run.folder, run.folder)
    shutil.rmtree(labels)
    shutil.copytree(kept, labels)
    done = run.snakemake("oracle_studies")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "rule train" not in done.stdout
    assert "rule predict" not in done.stdout
    folder = run.folder / "results" / "tiny" / "oracle" / "camera"
    assert (folder / "oracle.txt").read_text().strip() in done.stdout
    with open(folder / "steps.tsv", encoding="utf-8") as file:
        steps = [row["step"] for row in csv.DictReader(file, delimiter="\t")]
    assert steps == [
        *("self_training/00", "self_training/01", "co_training/00/a", "co_training/00/b", "ensemble")
    ]
    assert "Nothing to be done" in run.snakemake("--dry-run").stdout


def test_what_decides_no_model_trains_nothing_anew(finished_run):
    configuration = finished_run.configuration()
    try:
        changed = configuration["training"] | {"save_every_iterations": 7, "log_every_iterations": 3}
        changed["tensorboard"] = True
        finished_run.configure(configuration | {"training": changed})
        # What the run was given is written down and stands in the page; nothing else is made.
        written_down = {"write_settings": 1, "page_at_end": 1, "all": 1}
        assert planned_jobs(finished_run) == written_down
        finished_run.configure(configuration | {"on_collapse": "stop"})
        assert planned_jobs(finished_run) == written_down
        # The room for the sample is checked; nothing is trained or labelled.
        finished_run.configure(configuration | {"report": {"sample_images": 5}})
        jobs = planned_jobs(finished_run)
        # Of the target and of the test set; the job that scores a model keeps what it says of the sample.
        assert (jobs["sample"], jobs["predict_sample"], jobs["evaluate"]) == (2, 6, 6)
        assert {"health", "photo_sheet", "report", "page_at_end"} <= jobs.keys()
        assert not jobs.keys() & {"train", "thresholds", "label_round", "exchange", "ensemble_labels"}
    finally:
        finished_run.configure(configuration)


@pytest.mark.parametrize(
    ("key", "value", "made_again"),
    [
        ("label_space", "cityscapes7", {"convert_labels", "train", "predict", "evaluate"}),
        ("device", "cuda", {"train", "predict", "evaluate"}),
        ("seed", 3, {"translate", "choose_subset", "train", "predict", "evaluate"}),
        ("translation", {"format": "jpg"}, {"translate", "train", "predict", "evaluate"}),
        ("training", {"learning_rate": 0.04}, {"train", "predict", "evaluate"}),
        ("ego_vehicle_mask", "mask.png", {"predict", "label_round", "exchange", "evaluate"}),
        ("self_training", {"class_priors": "priors.npy"}, {"label_round", "exchange"}),
    ],
)
def test_what_changes_with_the_checks_is_made_again(finished_run, key, value, made_again):
    """All of these change the checks too, whose report trainings take as it is."""
    write_label(
        finished_run.folder / "mask.png", np.eye(64, 96, dtype=np.uint8), [(0, 0, 0), (255, 255, 255)]
    )
    np.save(finished_run.folder / "priors.npy", np.full((19, 64, 96), 0.5, np.float32))
    configuration = finished_run.configuration()
    try:
        changed = configuration.get(key, {}) | value if isinstance(value, dict) else value
        finished_run.configure(configuration | {key: changed})
        jobs = planned_jobs(finished_run)
    finally:
        finished_run.configure(configuration)
    assert jobs.keys() >= made_again | {"collect_checks"}
    # The baseline has not seen a mask or priors.
    models = 6 if "train" in made_again else 5
    assert jobs["train"] == models


@pytest.mark.parametrize(
    ("section", "changed", "first", "trained"),
    [
        ("self_training", {"keep": 3}, "label_round", 5),
        # The first round starts from the baseline in any case.
        ("self_training", {"initial_weights": "previous"}, "train", 4),
        # The first round keeps its portion.
        ("self_training", {"portion": {"increment": 0.07}}, "label_round", 4),
        ("co_training", {"portion_a": {"initial": 0.31}}, "exchange", 3),
        ("co_training", {"round_a": 1, "round_b": 0}, "exchange", 3),
        ("translation", {"method": "none"}, "train", 6),
        ("prediction", {"calibration_images": 2}, "hold_out", 6),
        ("final", {"labels": "accumulated"}, "join_ensemble", 1),
        ("final", {"initial_weights": "self_training/01"}, "train", 1),
        ("evaluation", {"write_outputs": True}, "evaluate", 0),
    ],
)
def test_what_only_commands_or_inputs_hold_is_made_again_with_the_checks(
    finished_run, section, changed, first, trained
):
    """The checks run again for another reason: what stands behind their report is looked at by itself."""
    configuration = finished_run.configuration()
    try:
        together = {section: configuration.get(section, {}) | changed, "report": {"sample_images": 5}}
        finished_run.configure(configuration | together)
        jobs = planned_jobs(finished_run)
    finally:
        finished_run.configure(configuration)
    assert "collect_checks" in jobs
    assert first in jobs
    assert jobs.get("train", 0) == trained


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("models/self_training/02/weights.safetensors", {"label_round": 1, "accumulate": 1, "train": 1}),
        ("pseudo_labels/self_training/02/accumulated.tsv", {"label_round": 1, "accumulate": 1}),
        ("evaluation/self_training/02/camera_test/scores.json", {"train": 1, "evaluate": 1}),
    ],
)
def test_one_file_of_a_further_round_is_made_behind_the_checks(finished_run, name, expected):
    """More models need more room, so the checks run again. Nothing else before the file has changed."""
    configuration = finished_run.configuration()
    try:
        finished_run.configure(
            configuration | {"self_training": configuration["self_training"] | {"rounds": 3}}
        )
        jobs = planned_jobs(finished_run, f"results/tiny/{name}")
    finally:
        finished_run.configure(configuration)
    assert jobs.items() >= {"collect_checks": 1, **expected}.items()


@pytest.mark.parametrize("name", ["camera.images.txt", "synthetic.labels.txt"])
def test_a_list_with_another_content_and_an_older_time_is_noticed(finished_run, name):
    """As `cp -p` or `rsync -a` leave it: Snakemake's look at the times would see nothing."""
    path = finished_run.folder / "some data" / name
    content, status = path.read_text(), path.stat()
    try:
        path.write_text("".join(content.splitlines(keepends=True)[1:]))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 10**12))
        jobs = planned_jobs(finished_run)
    finally:
        path.write_text(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert jobs["make_manifest"] == 1
    assert jobs["train"] == 6 if name.startswith("synthetic") else jobs["train"] >= 5


SELF = {"initial": 0.2, "maximum": 0.35, "increment": 0.1}
OF_A = {"initial": 0.5, "maximum": 0.6, "increment": 0.2}
OF_B = {"initial": 0.4, "maximum": 0.8, "increment": 0.3}


@pytest.fixture(scope="module")
def three_rounds_and_two_cycles(make_run, tmp_path_factory):
    """The commands of a run whose stages all differ, and in which no choice is a default."""
    run = make_run(tmp_path_factory.mktemp("three rounds"))
    configuration = run.configuration()
    configuration["prediction"]["shards"] = 1
    configuration["self_training"] |= {"rounds": 3, "relabel_rounds": 2, "portion": SELF}
    configuration["co_training"] |= {"cycles": 2, "round_a": 1, "relabel_cycles": 1}
    configuration["co_training"] |= {"portion_a": OF_A, "portion_b": OF_B, "fill": "subtract"}
    configuration["self_training"] |= {"ranking": "class_count", "keep": 3, "every": 2, "accumulation": "all"}
    configuration["self_training"]["confidence"]["lower"] = 0.03
    configuration["co_training"] |= {"ranking": "confidence_gain", "keep": 5, "collaboration": "both"}
    mask = np.zeros((64, 96), np.uint8)
    mask[50:] = 255
    Image.fromarray(mask).save(run.folder / "mask.png")
    run.configure(configuration | {"ego_vehicle_mask": "mask.png"})
    return commands(run)


def test_every_labelling_gets_its_choices(three_rounds_and_two_cycles):
    chosen = {}
    for (step, output), flags in three_rounds_and_two_cycles.items():
        stage = output.partition("pseudo_labels/")[2].partition("/")[0]
        for flag in ("ranking", "keep", "min-pixels", "collaboration", "accumulation", "every", "number"):
            if flag in flags:
                chosen.setdefault((step, stage, flag), set()).update(flags[flag])
        if step == "thresholds" and "ensemble" not in output:
            chosen.setdefault((step, stage, "lower"), set()).update(flags["lower"])
    found = {" ".join(key): values for key, values in chosen.items()}
    assert found == {
        # Of the sample that all models predict.
        "sample  number": {"32"},
        **{"choose_subset self_training number": {"6"}, "choose_subset self_training every": {"2"}},
        **{"choose_subset co_training number": {"6"}, "choose_subset co_training every": {"1"}},
        **{"thresholds self_training lower": {"0.03"}, "thresholds co_training lower": {"0.05"}},
        **{"label_round self_training ranking": {"class_count"}, "label_round self_training keep": {"3"}},
        **{"exchange co_training ranking": {"confidence_gain"}, "exchange co_training keep": {"5"}},
        **{"exchange co_training min-pixels": {"10"}, "exchange co_training collaboration": {"both"}},
        **{"accumulate self_training accumulation": {"all"}},
        **{"accumulate co_training accumulation": {"best_score"}},
        **{f"{step} self_training ranking": {"class_count"} for step in ("accumulate", "relabel")},
        **{f"{step} co_training ranking": {"confidence_gain"} for step in ("accumulate", "relabel")},
        "join_ensemble ensemble ranking": {"confidence_gain"},
    }


def test_the_ego_vehicle_takes_no_part_in_any_labelling(three_rounds_and_two_cycles):
    masked, others = set(), set()
    for (step, _), flags in three_rounds_and_two_cycles.items():
        (masked if flags.get("ego-vehicle-mask") == ["mask.png"] else others).add(step)
    labelling = {"predict", "label_round", "exchange", "relabel", "ensemble_labels"}
    # The checks before the run compare its size; the report leaves it out.
    assert masked == {*labelling, "collect_checks", "health", "photo_sheet"}
    assert not masked & others


def test_every_step_is_labelled_by_the_model_before_it(three_rounds_and_two_cycles):
    predicted = {
        labelling: three_rounds_and_two_cycles["thresholds", f"pseudo_labels/{labelling}/thresholds.json"]
        for labelling in [
            *("self_training/00", "self_training/01", "self_training/02", "self_training/00/relabelled"),
            *("co_training/00/a", "co_training/00/b", "co_training/01/a", "co_training/01/b"),
            *("co_training/00/a/relabelled", "ensemble/a", "ensemble/b"),
        ]
    }
    histograms = {
        name: flags["histograms"][0].removeprefix("predictions/").removesuffix("/0.histogram.npz")
        for name, flags in predicted.items()
    }
    assert histograms == {
        "self_training/00": "baseline/subset/self_training/00",
        "self_training/01": "self_training/00/subset/self_training/01",
        "self_training/02": "self_training/01/subset/self_training/02",
        "self_training/00/relabelled": "self_training/00/accumulated",
        # The branches begin with the rounds that the configuration names.
        "co_training/00/a": "self_training/01/subset/co_training/00/a",
        "co_training/00/b": "self_training/02/subset/co_training/00/b",
        "co_training/01/a": "co_training/00/a/subset/co_training/01/a",
        "co_training/01/b": "co_training/00/b/subset/co_training/01/b",
        "co_training/00/a/relabelled": "co_training/00/a/accumulated",
        "ensemble/a": "co_training/01/a/target",
        "ensemble/b": "co_training/01/b/target",
    }
    portions = {
        name: (*map(float, flags["portion"]), float(flags["upper"][0])) for name, flags in predicted.items()
    }
    assert portions == {
        # 0.2, then 0.1 more each round, up to 0.35.
        "self_training/00": (0.2, 0.9),
        "self_training/01": (0.2 + 0.1, 0.9),
        "self_training/02": (0.35, 0.9),
        "self_training/00/relabelled": (0.2, 0.9),
        "co_training/00/a": (0.5, 0.95),
        "co_training/00/b": (0.4, 0.95),
        # 0.5 + 0.2 is more than 0.6.
        "co_training/01/a": (0.6, 0.95),
        "co_training/01/b": (0.4 + 0.3, 0.95),
        "co_training/00/a/relabelled": (0.5, 0.95),
        # With the thresholds of the models that make them: those of the last cycle.
        "ensemble/a": (0.6, 0.95),
        "ensemble/b": (0.4 + 0.3, 0.95),
    }


def test_portions_of_each_class_follow_their_schedule(run):
    configuration = run.configuration()
    initial = [round(0.01 * (train_id + 1), 2) for train_id in range(19)]
    schedule = {"initial": initial, "maximum": 0.25, "increment": 0.125}
    configuration["self_training"]["portion"] = schedule
    run.configure(configuration)
    jobs = commands(run)
    first, second = (
        jobs["thresholds", f"pseudo_labels/self_training/{number}/thresholds.json"]["portion"]
        for number in ("00", "01")
    )
    assert first == [str(portion) for portion in initial]
    assert second == [repr(min(portion + 0.125, 0.25)) for portion in initial]


def test_subsets_are_drawn_by_the_published_seeds(three_rounds_and_two_cycles):
    seeds = {
        output.removeprefix("pseudo_labels/").removesuffix("/subset.tsv"): int(flags["seed"][0])
        for (step, output), flags in three_rounds_and_two_cycles.items()
        if step == "choose_subset"
    }
    assert seeds == {
        "self_training/00": 100,
        "self_training/01": 101,
        "self_training/02": 103,
        # Both branches see the same images.
        **{"co_training/00/a": 100, "co_training/00/b": 100},
        **{"co_training/01/a": 101, "co_training/01/b": 101},
    }


def test_labels_accumulate_on_those_labelled_anew(three_rounds_and_two_cycles):
    previous = {
        output.removeprefix("pseudo_labels/").removesuffix("/accumulated.tsv"): flags.get("previous")
        for (step, output), flags in three_rounds_and_two_cycles.items()
        if step == "accumulate"
    }
    assert previous == {
        "self_training/00": None,
        "self_training/01": ["pseudo_labels/self_training/00/relabelled/manifest.tsv"],
        "self_training/02": ["pseudo_labels/self_training/01/relabelled/manifest.tsv"],
        "co_training/00/a": None,
        "co_training/00/b": None,
        "co_training/01/a": ["pseudo_labels/co_training/00/a/relabelled/manifest.tsv"],
        "co_training/01/b": ["pseudo_labels/co_training/00/b/relabelled/manifest.tsv"],
    }


def test_branches_are_filled_from_the_second_cycle_on(three_rounds_and_two_cycles):
    first, second = (
        three_rounds_and_two_cycles["exchange", f"pseudo_labels/co_training/{cycle}"]
        for cycle in ("00", "01")
    )
    assert first["fill"] == ["none"]
    assert second["fill"] == ["subtract"]
    for branch in "ab":
        assert second[f"thresholds-{branch}"] == [f"pseudo_labels/co_training/01/{branch}/thresholds.json"]
        prediction = f"predictions/co_training/00/{branch}/subset/co_training/01/{branch}/0.h5"
        assert second[f"predictions-{branch}"] == [prediction]


def test_what_each_training_starts_from_and_learns(three_rounds_and_two_cycles):
    trainings = {
        output.removeprefix("models/"): (
            flags.get("initial-weights"),
            flags.get("target"),
            flags.get("thresholds"),
        )
        for (step, output), flags in three_rounds_and_two_cycles.items()
        if step == "train"
    }

    def weights(model):
        return [f"models/{model}/weights.safetensors"]

    def labels(step):
        folder = f"pseudo_labels/{step}"
        return [f"{folder}/accumulated.tsv"], [f"{folder}/thresholds.json"]

    assert trainings == {
        "baseline": (None, None, None),
        # As published, every round starts from the baseline, and every cycle from its round.
        "self_training/00": (weights("baseline"), *labels("self_training/00")),
        "self_training/01": (weights("baseline"), *labels("self_training/01")),
        "self_training/02": (weights("baseline"), *labels("self_training/02")),
        "co_training/00/a": (weights("self_training/01"), *labels("co_training/00/a")),
        "co_training/00/b": (weights("self_training/02"), *labels("co_training/00/b")),
        "co_training/01/a": (weights("self_training/01"), *labels("co_training/01/a")),
        "co_training/01/b": (weights("self_training/02"), *labels("co_training/01/b")),
        "final": (weights("baseline"), ["pseudo_labels/ensemble/manifest.tsv"], None),
    }


def test_weights_may_run_only_the_code_that_the_configuration_names(run):
    configuration = run.configuration()
    configuration["co_training"]["network_b"] = {"name": "my.networks:make"}
    configuration["prediction"] |= {"shards": 1, "calibration_images": 1}
    run.configure(configuration)
    seen = {}
    for (step, output), flags in commands(run).items():
        if step in ("predict", "calibrate", "evaluate"):
            is_own = any(part in output for part in ("/b/camera_test", "/00/b/", "baseline_b"))
            seen[step, is_own] = flags.get("allow-code")
    own = {(step, True): ["my.networks:make"] for step in ("calibrate", "evaluate", "predict")}
    assert seen == {**own, **{(step, False): None for step, _ in own}}
