"""The settings that reach the steps of a run as files, below `results/RUN/settings`.

Each file holds only what decides its step, so that editing another key does not make the step run again.
"""

import json
from pathlib import Path

import msgspec

from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.sections import Configuration, Crops, Section
from cotrain.data.files import write_text
from cotrain.errors import InputError

# Keys of a dataset that only matter where its labels are read.
OF_LABELS = ("labels", "classes", "version")


def settings_named(configuration: Configuration, name: str) -> Section:
    """Return the settings in the file `results/RUN/settings/NAME.json`.

    Names: `training/STAGE`, `prediction`, `evaluation`, `crops`, `work`, `datasets/NAME/images` (without what
    concerns labels) and `datasets/NAME/labelled`. InputError for another name.
    """
    plan = RunPlan(configuration)
    kind, _, rest = name.partition("/")
    if kind == "training" and rest in {plan.settings_name(model) for model in plan.models}:
        return plan.training_settings(rest)
    if kind == "datasets":
        dataset, _, part = rest.partition("/")
        if dataset in configuration.datasets and part in ("images", "labelled"):
            return dataset_settings(configuration, dataset, with_labels=part == "labelled")
    if name == "prediction":
        return plan.prediction_settings()
    if name == "evaluation":
        return plan.evaluation_settings()
    if name == "crops":
        return Crops(**{key: getattr(configuration.training, key) for key in Crops.__struct_fields__})
    if name == "work":
        return plan.work()
    raise InputError(f"there are no settings {name!r}")


def dataset_settings(configuration: Configuration, dataset: str, with_labels: bool) -> Section:
    """Return a dataset's entry; without `with_labels` only what decides its images."""
    entry = configuration.datasets[dataset]
    assert isinstance(entry, Section)
    if with_labels:
        return entry
    return msgspec.structs.replace(entry, **{key: None for key in OF_LABELS if hasattr(entry, key)})


def settings_text(settings: Section) -> str:
    """Return settings as the text of a JSON file."""
    return json.dumps(msgspec.to_builtins(settings), indent=1, ensure_ascii=False) + "\n"


def write_settings(path: Path, settings: Section) -> None:
    """Write settings as a JSON file."""
    write_text(path, settings_text(settings))
