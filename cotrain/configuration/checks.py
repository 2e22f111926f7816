"""What the schema cannot express: contradictions between keys, unknown names, files that do not exist."""

import os
from pathlib import Path
from typing import Any

from cotrain.configuration.choices import PACKAGED_BACKBONES
from cotrain.configuration.crop_sizes import limit_of_crops
from cotrain.configuration.names import BASELINE, BRANCHES, ModelName, steps_of
from cotrain.configuration.problems import KeyPath, Problems, check_contradictions, did_you_mean, value_at
from cotrain.configuration.schema import listed
from cotrain.errors import InputError
from cotrain.words import counted, in_words

# The lists of datasets that models learn from with labels.
SOURCES: tuple[KeyPath, ...] = (("source",), ("co_training", "source_b"))


def check_across_keys(problems: Problems) -> None:
    """Run all checks; what is wrong is added to `problems`, values already known to be wrong are skipped."""
    for check in CHECKS:
        check(problems)


def _check_datasets(problems: Problems) -> None:
    """Check the files, layouts, class tables and scenes of the datasets."""
    from cotrain.data.class_tables import class_table_names
    from cotrain.data.trees import tree_layout_names

    scenes: dict[tuple[str, int], str] = {}
    for name, entry in _section(problems.filled.get("datasets")).items():
        path = ("datasets", name)
        if not isinstance(entry, dict):
            continue
        if entry.get("layout") == "lists":
            problems.expect_file((*path, "images"))
            problems.expect_file((*path, "labels"))
            problems.expect_file((*path, "root"), folder=True)
            _check_defined(problems, (*path, "classes"), class_table_names(), "class table")
            if entry.get("labels") is not None and entry.get("classes") is None:
                known = listed(class_table_names())
                problems.add((*path, "classes"), f"missing, the label files need it: expected {known}")
        elif entry.get("layout") == "streets":
            look, seed = problems.value(*path, "look"), problems.value(*path, "seed")
            if look is None or seed is None:
                continue
            other = scenes.setdefault((look, seed), name)
            if other != name:
                text = f"{problems.shown(*path, 'seed')} gives the same scenes as datasets.{other}"
                problems.add((*path, "seed"), f"{text}: expected another seed", bad_value=False)
        elif problems.value(*path, "layout"):
            if _check_defined(problems, (*path, "layout"), tree_layout_names(), "layout"):
                _check_root(problems, path, entry["layout"])
            _check_defined(problems, (*path, "classes"), class_table_names(), "class table")


def _check_root(problems: Problems, path: KeyPath, layout: str) -> None:
    """Check that a published dataset's folder is there; say what is expected in it if not."""
    from cotrain.data.trees import expected_folders, tree_layout

    root = problems.value(*path, "root")
    try:
        folders = expected_folders(tree_layout(layout), problems.value(*path, "split"))
    except InputError as error:
        problems.add((*path, "layout"), str(error))
        return
    if root is not None and not os.path.isdir(root):
        found = f"{root!r} is a file" if os.path.exists(root) else f"folder {root!r} does not exist"
        text = f"{found}; expected the root of {layout}, with {folders}"
        problems.add((*path, "root"), text)


def _check_roles(problems: Problems) -> None:
    """Check that source, target and test are datasets fit for their part."""
    if problems.filled.get("datasets") is None or ("datasets",) in problems.bad_values:
        return
    datasets = _section(problems.filled["datasets"])
    source_paths: list[KeyPath] = []
    for path in SOURCES:
        names = value_at(problems.filled, path)
        source_paths += [(*path, index) for index in range(len(names))] if isinstance(names, list) else []
    second_view: KeyPath = ("co_training", "target_b")
    for path in (*source_paths, ("target",), ("test",), second_view):
        _check_known(problems, path, datasets, "dataset")

    needs_labels = [*source_paths, ("test",)]
    if problems.value("upper_bound"):
        needs_labels.append(("target",))
    for path in needs_labels:
        name = problems.value(*path)
        entry = datasets.get(name)
        if isinstance(entry, dict) and entry.get("layout") == "lists" and entry.get("labels") is None:
            reason = ", which upper_bound needs" if path == ("target",) else ""
            text = f"{name!r} has no labels{reason}: expected a value for datasets.{name}.labels"
            problems.add(path, text, bad_value=False)

    source, source_b = (problems.value(*path) for path in SOURCES)
    if source and source_b and set(source) == set(source_b):
        text = f"found {in_words([*source_b])}, which is source too: expected other datasets, or []"
        problems.add(("co_training", "source_b"), text)
    target, target_b = problems.value("target"), problems.value(*second_view)
    if target is not None and target in (problems.value(*path) for path in source_paths):
        problems.add(("target",), f"{target!r} is also a source: expected another dataset")
    test = problems.value("test")
    if test is not None and test in (problems.value(*path) for path in source_paths):
        text = (
            f"{test!r} is also a source: expected another dataset, so that models are not scored on images "
            "that they have learnt"
        )
        problems.add(("test",), text)
    elif test is not None and test == target and problems.value("upper_bound"):
        text = f"{test!r} is also the target, and upper_bound learns its labels: expected another dataset"
        problems.add(("test",), text)
    same_domain = problems.value("co_training", "same_domain")
    if same_domain is False and value_at(problems.filled, second_view) is None:
        problems.add(second_view, "missing, expected a dataset name because co_training.same_domain is false")
    elif same_domain and target_b is not None:
        text = f"found {target_b!r}, expected null because co_training.same_domain is true"
        problems.add(second_view, text)
    elif target_b is not None and target_b == target:
        problems.add(second_view, f"{target_b!r} is the target itself: set co_training.same_domain to true")


def _check_scores(problems: Problems) -> None:
    """Check that nothing asks for scores where there is no test set to measure them on."""
    # A wrong name is told already.
    if value_at(problems.filled, ("test",)) is not None:
        return
    expected = "expected a dataset for test, or"
    if problems.value("upper_bound"):
        text = "found true, but there is no test, and an upper bound is only there to compare scores with"
        problems.add(("upper_bound",), f"{text}: {expected} false")
    without = "but there is no test, so no model is scored"
    for key, default in (("class_subsets", "[]"), ("write_outputs", "false")):
        path: KeyPath = ("evaluation", key)
        if problems.value(*path):
            problems.add(path, f"found {problems.shown(*path)}, {without}: {expected} {default}")
    # Whatever is left out of it is as in prediction.
    protocol = problems.value("evaluation", "protocol") or {}
    for key in protocol:
        if problems.value("evaluation", "protocol", key) != problems.value("prediction", key):
            path = ("evaluation", "protocol", key)
            problems.add(path, f"found {problems.shown(*path)}, {without}: {expected} no such key")


def _check_training(problems: Problems) -> None:
    """Check the mask, and that the batch can be shared."""
    size, processes = problems.value("training", "batch_size"), problems.value("gpus_per_training")
    if size is not None and processes is not None and size % processes:
        text = f"found {processes}, which does not divide training.batch_size, {size}"
        problems.add(("gpus_per_training",), f"{text}: expected equal shares of every batch")
    problems.expect_file(("ego_vehicle_mask",))


def _check_crops(problems: Problems) -> None:
    """Check that crops fit into streets that are yet to be rendered; images of others are measured later."""
    crop = problems.value("training", "crop")
    if crop is None:
        return
    target = problems.value("target")
    parts = [*(("source", problems.value(*path)) for path in SOURCES), ("target", target and [target])]
    for part, names in parts:
        keys = [
            problems.value("training", f"{part}_augmentation", key)
            for key in ("resize", "short_sides", "max_long_side")
        ]
        entries = [problems.value("datasets", name) or {} for name in names or ()]
        if not entries or any(entry.get("layout") != "streets" for entry in entries) or None in keys[1:]:
            continue
        limit = limit_of_crops(crop, [(entry["height"], entry["width"]) for entry in entries], *keys)
        if limit:
            larger = " and ".join(f"datasets.{name}" for name in names)
            text = (
                f"{problems.shown('training', 'crop')} is [height, width] of more pixels than the rendered "
                f"{part} images have: they are at most {in_words([*limit])} after "
                f"training.{part}_augmentation; expected a smaller crop, or larger width and height in "
                f"{larger}"
            )
            problems.add(("training", "crop"), text, bad_value=False)


def _check_stages(problems: Problems) -> None:
    """Check what self-training, co-training and the final training need of each other and of the rest."""
    batch_size = problems.value("training", "batch_size")
    for stage in ("self_training", "co_training", "final"):
        ratio = problems.value(stage, "batch_ratio")
        if ratio is not None and batch_size is not None and sum(ratio) != batch_size:
            text = f"{problems.shown(stage, 'batch_ratio')} adds up to {sum(ratio)}"
            size = problems.shown("training", "batch_size")
            problems.add((stage, "batch_ratio"), f"{text}, expected training.batch_size, which is {size}")
    for stage, images in (("self_training", "images_per_round"), ("co_training", "images_per_cycle")):
        keep, drawn = problems.value(stage, "keep"), problems.value(stage, images)
        if keep is not None and drawn is not None and keep > drawn != -1:
            drawn_text = f"{images}, which is {problems.shown(stage, images)}"
            problems.add((stage, "keep"), f"{problems.shown(stage, 'keep')} is more than {drawn_text}")
        lower, upper = (problems.value(stage, "confidence", key) for key in ("lower", "upper"))
        if lower is not None and upper is not None and lower > upper:
            shown = [problems.shown(stage, "confidence", key) for key in ("lower", "upper")]
            problems.add((stage, "confidence"), f"lower, {shown[0]}, is above upper, {shown[1]}")
    _check_rounds(problems)
    _check_classes(problems)


def _check_rounds(problems: Problems) -> None:
    """Check that the rounds and models that others start from are made by this run."""
    rounds, cycles = problems.value("self_training", "rounds"), problems.value("co_training", "cycles")
    if rounds is None:
        return
    starts = {branch: problems.value("co_training", f"round_{branch}") for branch in BRANCHES}
    for branch, start in starts.items():
        if start is not None and start >= rounds:
            text = f"{start} is not a round that self_training makes (rounds: {rounds}, so 0 to {rounds - 1})"
            problems.add(("co_training", f"round_{branch}"), text)
    differ = any(value_at(problems.filled, ("co_training", key)) for key in ("network_b", "source_b"))
    if starts["a"] is not None and starts["a"] == starts["b"] and not differ:
        more = " (self_training.rounds must be at least 2)" if rounds == 1 else ""
        text = (
            f"{starts['b']} is also round_a: expected two different rounds{more}, or a branch b with its own"
        )
        problems.add(("co_training", "round_b"), f"{text} source_b or network_b")
    if cycles is not None:
        models = [str(model) for model in (BASELINE, *steps_of(rounds, cycles))]
        initial = problems.value("final", "initial_weights")
        if initial is not None and initial not in models:
            text = f"{initial!r} is not a model of this run{did_you_mean(initial, models)}; expected "
            text += f"baseline, self_training/00 to {models[rounds]} or co_training/00/a to {models[-1]}"
            problems.add(("final", "initial_weights"), text)


def _check_classes(problems: Problems) -> None:
    """Check the label space and every value that has one entry a class."""
    from cotrain.data.label_spaces import label_space, label_space_names

    if not _check_defined(problems, ("label_space",), label_space_names(), "label space"):
        return
    name = problems.value("label_space")
    try:
        number = label_space(name).number_of_classes
    except InputError as error:
        problems.add(("label_space",), str(error))
        return
    for index, subset in enumerate(problems.value("evaluation", "class_subsets") or ()):
        path: KeyPath = ("evaluation", "class_subsets", index)
        if _check_defined(problems, path, label_space_names(), "label space"):
            try:
                strange = set(label_space(subset).classes) - set(label_space(name).classes)
            except InputError as error:
                problems.add(path, str(error))
                continue
            if strange:
                text = f"{subset!r} has classes that {name} lacks: {', '.join(sorted(strange))}"
                problems.add(path, text)
    expected = f"expected {number}, one for each class of {name}"
    for section in (("self_training", "portion"), ("co_training", "portion_a"), ("co_training", "portion_b")):
        for key in ("initial", "maximum", "increment"):
            value = problems.value(*section, key)
            # What portion_b takes from portion_a is reported once, there.
            is_given = value_at(problems.given, (*section, key)) is not None
            if isinstance(value, list) and len(value) != number and is_given:
                problems.add((*section, key), f"found {counted(len(value), 'value')}, {expected}")
    path = ("self_training", "class_priors")
    if problems.value(*path) == "source":
        return
    problems.expect_file(path)
    priors = problems.value(*path)
    if priors is not None:
        from cotrain.data.class_priors import ClassPriors

        try:
            ClassPriors.read(Path(priors)).check_classes(label_space(name))
        except InputError as error:
            problems.add(path, str(error))


def _check_network(problems: Problems) -> None:
    """Check where the first weights of each network come from."""
    for section in (("network",), ("co_training", "network_b")):
        _check_first_weights(problems, section)
    _check_initial_weights(problems)
    final = problems.value("final", "initial_weights")
    has_own_network = problems.value("co_training", "network_b") is not None
    # Only known names are left here.
    if has_own_network and final is not None and ModelName.parse(final).branch == "b":
        text = f"{final!r} is a model of co_training.network_b, but the final model uses network"
        problems.add(("final", "initial_weights"), f"{text}: expected another model of the run")


def _check_first_weights(problems: Problems, section: KeyPath) -> None:
    if problems.value(*section, "name") is None:
        # The name decides which weights there are.
        return
    path = (*section, "backbone_weights")
    backbone, weights = problems.value(*section, "backbone"), problems.value(*path)
    words: tuple[str, ...] = ("timm", "none")
    if problems.value(*section, "name") == "deeplabv3plus":
        words = ("package", *words)
    if weights is not None and weights not in words:
        # Any name will do: what the file holds is found from its content.
        if os.path.exists(weights) or "/" in weights or "." in weights:
            _check_weights_file(problems, path)
        else:
            expected = listed([*words, "the path of a weights file"])
            problems.add(path, f"expected {expected}, found {weights!r}{did_you_mean(weights, words)}")
    if weights == "package" and backbone is not None and backbone not in PACKAGED_BACKBONES:
        text = (
            f"{problems.shown(*path)} has only weights of {listed(PACKAGED_BACKBONES)}, not of {backbone!r}"
        )
        problems.add(path, f"{text}: expected timm, none or a path")


def _check_predicting_weights(problems: Problems) -> None:
    """Check that trainings keep the weights that label."""
    weights, decay = problems.value("prediction", "weights"), problems.value("training", "average_decay")
    if weights == "averaged" and decay == 0:
        text = "found averaged, but training.average_decay is 0, so no training keeps an average"
        problems.add(("prediction", "weights"), f"{text}: expected last, or a decay above 0")


def _check_calibration(problems: Problems) -> None:
    """Check that calibration leaves rendered sources something to train on; others are counted later."""
    path: KeyPath = ("prediction", "calibration_images")
    held_out = problems.value(*path)
    for name in [name for path in SOURCES for name in problems.value(*path) or ()]:
        entry = problems.value("datasets", name)
        if held_out and entry and entry["layout"] == "streets" and held_out >= entry["images"]:
            text = f"found {held_out}, but datasets.{name} has {entry['images']} images"
            problems.add(path, f"{text}: expected fewer, so that some images are left to train on")


def _check_initial_weights(problems: Problems) -> None:
    """Check that the baseline starts from a model of this project, if it starts from a file."""
    path, words = ("baseline", "initial_weights"), ("pretrained",)
    value, iterations = problems.value(*path), ("baseline", "iterations")
    if value == "pretrained" and problems.value(*iterations) == 0:
        text = "found 0, but baseline.initial_weights is pretrained, so there is no model to take as it is"
        problems.add(
            iterations, f"{text}: expected more, or the path of a model's weights for initial_weights"
        )
    if value is None or value in words:
        return
    if os.path.isfile(value) or value.endswith((".safetensors", ".onnx")):
        # What the file is says more than its name.
        _check_weights_file(problems, path)
    if value.endswith(".safetensors") or path in problems.bad_values:
        return
    text = (
        "expected pretrained or the path of a .safetensors file that the step train or import_weights wrote, "
        f"found {value!r}"
    )
    if os.path.isfile(value):
        text += (
            " (import_weights converts weights of your own network and of the paper's; those of a backbone "
            "are for network.backbone_weights)"
        )
    problems.add(path, text + did_you_mean(value, words))


def _check_weights_file(problems: Problems, path: KeyPath) -> None:
    """Check that the value at `path` names a file that can hold weights; a run checks its tensors."""
    from cotrain.networks.weights_formats import weights_format

    problems.expect_file(path)
    name = problems.value(*path)
    if name is not None:
        try:
            weights_format(Path(name))
        except InputError as error:
            problems.add(path, str(error))


def _check_known(problems: Problems, path: KeyPath, known: Any, kind: str) -> bool:
    """Return whether the value at `path` is among `known`; note a problem when it is not."""
    value = problems.value(*path)
    if value is not None and value not in known:
        hint = did_you_mean(value, known)
        problems.add(path, f"{value!r} is not a {kind}{hint}; known are {', '.join(known) or 'none'}")
    return value in known


def _check_defined(problems: Problems, path: KeyPath, known: Any, kind: str) -> bool:
    """Return whether the value at `path` is among `known` or an existing YAML file; note a problem if not."""
    value = problems.value(*path)
    if isinstance(value, str) and value.endswith((".yaml", ".yml")):
        problems.expect_file(path)
        return problems.value(*path) is not None
    return _check_known(problems, path, known, kind)


def _section(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


CHECKS = (
    _check_datasets,
    _check_roles,
    _check_scores,
    _check_training,
    _check_crops,
    check_contradictions,
    _check_stages,
    _check_network,
    _check_predicting_weights,
    _check_calibration,
)
