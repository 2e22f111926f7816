"""The model card: what a model is, what it learnt from, how good it is, and how to load it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cotrain.data.label_spaces import LabelSpace
from cotrain.data.network_sizes import FirstWeights
from cotrain.evaluation.scores import ModelScores
from cotrain.reporting.health_tables import NOTHING_LOOKS_WRONG
from cotrain.reporting.model_report import NO_SCORES, circumstances
from cotrain.reporting.page.records import HealthRecord
from cotrain.reporting.table import percent, to_markdown
from cotrain.training.record import TrainingRecord

NOT_RECORDED = "not recorded"
# Of models that a run makes before its health can be known.
ELSEWHERE = "The health of its run, `report/health.txt` there, compares it with the other models"
HOW_TO_LOAD = """\
```python
import cotrain

model = cotrain.load_model({arguments})
classes, confidence = model(images)  # images: a torch tensor, uint8 RGB (N, 3, height, width)
```

`classes` holds the train id of each pixel, uint8 (N, height, width), `confidence` its probability, float32.
`pip install .` in a clone of cotrain gives the package.
"""


@dataclass(frozen=True)
class ModelFacts:
    """What a card tells besides the training's record.

    `source` and `target` are names of datasets, `views` the settings of a prediction that are no defaults,
    `scored_on` the dataset of the scores, `code` the version of the code that trained the model. `weights` is
    the file that predicts, if it is not the one that the folder stands for. `is_calibrated` says whether a
    temperature.json lies beside it. `health` is that of its run; it is used where there are no scores.
    """

    source: Sequence[str]
    target: str | None
    parameters: int
    first_weights: FirstWeights | None
    views: Mapping[str, Any]
    code: str
    scores: ModelScores | None = None
    scored_on: str = "the test set"
    notes: Sequence[str] = ()
    weights: str | None = None
    is_calibrated: bool = False
    health: HealthRecord | None = None


def model_card(record: TrainingRecord, space: LabelSpace, facts: ModelFacts) -> str:
    """Return the card of a model as a Markdown page."""
    parts = [
        f"# Model `{record.model}`\n\nIt finds the class of each pixel of driving images.\n",
        _bullets(_overview(record, space, facts)),
        f"## How to load it\n\n{HOW_TO_LOAD.format(arguments=_arguments(record, facts))}",
        "## What it was trained on\n\n" + _bullets(_training(record, facts)),
        f"## How good it is\n\n{_quality(record, facts)}",
        f"## Classes of `{space.name}`\n\n{to_markdown(_classes(space, facts.scores))}",
        "## Licence\n\n" + _bullets(_licence(facts.first_weights)),
    ]
    return "\n".join(parts)


def _arguments(record: TrainingRecord, facts: ModelFacts) -> str:
    """Return what `load_model` takes, as Python."""
    folder, name = "path/of/this/folder", str(record.settings.network.get("name", ""))
    path = f"{folder}/{facts.weights}" if facts.weights else folder
    # JSON of numbers, lists and words is Python, but for these.
    views = json.dumps(dict(facts.views)).replace("true", "True").replace("null", "None")
    options = [
        f"settings={views}" if facts.views else None,
        f'temperature="{folder}/temperature.json"' if facts.is_calibrated else None,
        # A function of the user's own makes the network.
        f"allow_code=[{json.dumps(name)}]" if ":" in name else None,
    ]
    return ", ".join([f'"{path}"', *filter(None, options)])


def _overview(record: TrainingRecord, space: LabelSpace, facts: ModelFacts) -> list[str]:
    network = record.settings.network
    name = network.get("name", NOT_RECORDED)
    backbone = f", backbone {network['backbone']} (timm)" if "backbone" in network else ""
    views = ", ".join(f"{key} {json.dumps(value)}" for key, value in facts.views.items())
    versions = ", ".join(f"{package} {version}" for package, version in record.versions.items())
    return [
        f"Network: {name}{backbone}, {facts.parameters:,} parameters",
        "Input: RGB images of any size" + (f"; in its run they are predicted with {views}" if views else ""),
        f"Output: for each pixel one of {space.number_of_classes} classes, and its probability",
        f"Trained by: {facts.code}; {versions or NOT_RECORDED}",
    ]


def _training(record: TrainingRecord, facts: ModelFacts) -> list[str]:
    images, lines = record.images, []
    lines.append(f"Source: {images.source} labelled images of {', '.join(facts.source)}")
    if images.target:
        labels = (
            "their own labels"
            if images.kept_share is None
            else f"pseudo-labels, which cover {percent(images.kept_share, 1)} % of their pixels"
        )
        lines.append(f"Target: {images.target} images of {facts.target or 'the target'} with {labels}")
    else:
        lines.append("Target: no image is trained on")
    settings = record.settings
    batches = f" with batches of {settings.batch_size} images" if settings.batch_size else ""
    loss = "" if record.last_loss is None else f"; the last loss was {record.last_loss:.3f}"
    lines.append(f"{settings.iterations} iterations{batches}{loss}")
    parents = [path for path in record.parents if path.endswith(".safetensors")]
    lines += [f"It went on from the weights `{path}`" for path in parents]
    return lines


def _quality(record: TrainingRecord, facts: ModelFacts) -> str:
    """Return what the scores say or, without a test set, what is known without labels."""
    vanished = ", ".join(record.vanished_classes)
    known = (
        [f"Classes that it no longer predicted near the end of its training: {vanished}"] if vanished else []
    )
    scores = facts.scores
    if scores is None:
        known += _health(record.model, facts.health) if facts.health else [ELSEWHERE]
        return (
            f"{NO_SCORES}, so nothing says how good it is. What is known without labels:\n\n{_bullets(known)}"
        )
    table = [
        ["mIoU", "fwIoU", "pixel accuracy", "mean class accuracy"],
        [
            percent(share)
            for share in (
                *(scores.mean_iou, scores.frequency_weighted_iou),
                *(scores.pixel_accuracy, scores.mean_class_accuracy),
            )
        ],
    ]
    measured = f"In per cent, measured on {facts.scored_on}: {circumstances(scores)}.\n"
    notes = [*known, *(f"Note: {note}" for note in facts.notes)]
    return f"{measured}\n{to_markdown(table)}" + (f"\n{_bullets(notes)}" if notes else "")


def _health(model: str, health: HealthRecord) -> list[str]:
    """Return what the health of its run says of a model, and the verdict on the run."""
    lines, found = [], health.models.get(model)
    if found and found.predictions:
        largest = max(found.predictions, key=lambda name: found.predictions[name])
        lines.append(
            f"Its mean confidence on {health.images} images of the camera: {percent(found.confidence, 1)} %"
        )
        lines.append(
            f"Its largest class there: {largest}, {percent(found.predictions[largest], 1)} % of the pixels; "
            f"in the source's labels {percent(health.source.get(largest), 1)} %"
        )
        if found.agreement_with_before is not None:
            same = percent(found.agreement_with_before, 1)
            lines.append(f"Pixels there that it takes for the same class as the model before it: {same} %")
        if found.missing_classes:
            missing = ", ".join(found.missing_classes)
            lines.append(f"Classes that the source shows and that it hardly predicts: {missing}")
    verdict = [finding.text for finding in health.findings]
    return [*lines, *(f"Verdict on the run: {text}" for text in verdict or [NOTHING_LOOKS_WRONG])]


def _classes(space: LabelSpace, scores: ModelScores | None) -> list[list[str]]:
    table = [["class", "train id", "red, green, blue", *(["IoU (%)"] if scores else [])]]
    for train_id, (name, colour) in enumerate(zip(space.classes, space.palette, strict=True)):
        score = [percent(scores.iou.get(name), 1)] if scores else []
        table.append([name, str(train_id), ", ".join(map(str, colour)), *score])
    return table


def _licence(first: FirstWeights | None) -> list[str]:
    data = (
        "The weights were learnt from the images named above; ask their owners what you may do with what is "
        "learnt from them"
    )
    if first is None:
        return [f"First weights of the backbone: {NOT_RECORDED}", data]
    if not first.pretrained:
        return [f"First weights: {first.what}", data]
    page = f" ({first.url})" if first.url else ""
    licence = first.licence or f"not known here; look where they are from{page}"
    return [
        f"First weights: {first.what}{page if first.licence else ''}",
        f"Licence of the first weights: {licence}",
        data,
    ]


def _bullets(lines: Sequence[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)
