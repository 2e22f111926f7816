"""The settings that reach the steps of a run as files, below `results/RUN/settings`.

Each file holds only what decides its step, so that editing another key does not make the step run again.
"""

import json
from pathlib import Path

import msgspec

from cotrain.configuration.run_plan import HealthSettings, RunPlan, Storage, Work
from cotrain.configuration.sections import (
    Configuration,
    Crops,
    DatasetSettings,
    InferenceSettings,
    ListsSettings,
    PublishedSettings,
    Section,
    StreetsSettings,
    TrainingSettings,
    shared_values,
)
from cotrain.data.files import write_text
from cotrain.data.label_spaces import YAML_SUFFIXES
from cotrain.data.trees import tree_layout
from cotrain.errors import InputError

# The name of the file that holds all settings.
WHOLE = "configuration"
# Where a run writes settings of a kind.
FILES_OF_KINDS: dict[type, str] = {
    TrainingSettings: "training/STAGE",
    InferenceSettings: "prediction",
    Crops: "crops",
    HealthSettings: "health",
    Storage: "storage",
    Work: "work",
    DatasetSettings: "datasets/NAME/labelled",
    StreetsSettings: "datasets/NAME/labelled",
}
# Keys of a dataset that only matter where its labels are read.
OF_LABELS = ("labels", "classes", "version")


def settings_names(configuration: Configuration) -> list[str]:
    """Return the names of all settings files of a run's steps."""
    plan = RunPlan(configuration)
    trainings = dict.fromkeys(map(plan.settings_name, plan.known_models))
    datasets = [
        f"datasets/{name}/{part}" for name in configuration.datasets for part in ("images", "labelled")
    ]
    others = ("prediction", "evaluation", "crops", "health", "storage", "work")
    return [*(f"training/{name}" for name in trainings), *others, *datasets]


def settings_named(configuration: Configuration, name: str) -> Section:
    """Return the settings in the file `results/RUN/settings/NAME.json`.

    Names: `training/STAGE`, `prediction`, `evaluation`, `crops`, `health`, `storage`, `work`,
    `datasets/NAME/images` (without what concerns labels), `datasets/NAME/labelled`, and `configuration` for
    the whole. InputError for others.
    """
    if name == WHOLE:
        return configuration
    if name not in settings_names(configuration):
        known = ", ".join(settings_names(configuration))
        raise InputError(f"there are no settings {name!r} in this run, expected one of {known}")
    plan = RunPlan(configuration)
    kind, _, rest = name.partition("/")
    if kind == "training":
        return plan.training_settings(rest)
    if kind == "datasets":
        dataset, _, part = rest.partition("/")
        return dataset_settings(configuration, dataset, with_labels=part == "labelled")
    if name == "prediction":
        return plan.prediction_settings()
    if name == "evaluation":
        return plan.evaluation_settings()
    if name == "crops":
        return Crops(**shared_values(Crops, configuration.training))
    if name == "health":
        return plan.health()
    return plan.storage() if name == "storage" else plan.work()


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


def is_definition(name: str | None) -> bool:
    """Whether a layout, class table or label space is a YAML file of the user's."""
    return name is not None and name.endswith(YAML_SUFFIXES)


def files_of_images(configuration: Configuration, dataset: str, with_labels: bool) -> list[str]:
    """Return the list files and layout file of the user's that say which files a dataset has."""
    entry = configuration.datasets[dataset]
    if isinstance(entry, ListsSettings):
        return [entry.images, *([entry.labels] if with_labels and entry.labels else [])]
    return [entry.layout] if is_definition(entry.layout) else []


def files_of_meaning(configuration: Configuration, dataset: str) -> list[str]:
    """Return the files of the user's that say what a dataset's labels mean: label space and class table."""
    entry, names = configuration.datasets[dataset], [configuration.label_space]
    if isinstance(entry, ListsSettings | PublishedSettings):
        is_own_layout = entry.classes is None and is_definition(entry.layout)
        names.append((tree_layout(entry.layout).classes if is_own_layout else entry.classes) or "")
    return [name for name in names if is_definition(name)]


def may_have_labels(configuration: Configuration, dataset: str) -> bool:
    """Whether a dataset may have labels; whether folders hold some is known only after they are listed."""
    entry = configuration.datasets[dataset]
    return not isinstance(entry, ListsSettings) or entry.labels is not None
