"""The section of a page that shows what a run was made from."""

from pathlib import Path
from typing import NamedTuple

from cotrain.data.images import read_image, write_image
from cotrain.reporting.page.look import PHOTO_QUALITY, Pictures, reduced, scaled_size
from cotrain.reporting.page.records import RunRecords
from cotrain.reporting.page.tables import Cell, Grid

# Pixels of a sheet that is copied into the page.
SHEET_PIXELS = 2.5e6


class Dataset(NamedTuple):
    """What the check of a dataset found: its facts, its warnings, and its contact sheet if there is one."""

    name: str
    role: str
    facts: str
    warnings: list[str]
    sheet: str


class Sheet(NamedTuple):
    """A picture of a training's first batches."""

    model: str
    file: str


def datasets(records: RunRecords, pictures: Pictures) -> list[Dataset]:
    """Return what is known of each dataset, and copy the contact sheets into the page."""
    configuration = records.configuration
    found = []
    for name in records.plan.datasets:
        roles = [
            *(["source"] if name in records.plan.source_datasets else []),
            *(["target"] if name in records.plan.target_datasets else []),
            *(["test"] if name == configuration.test else []),
        ]
        check = records.checks.get(name)
        facts = "not checked yet"
        if check:
            sizes = sorted(check["sizes"].items(), key=lambda item: -item[1])
            shown = ", ".join(f"{size.replace('x', ' × ')} ({number})" for size, number in sizes[:4])
            more = f" and {len(sizes) - 4} more sizes" if len(sizes) > 4 else ""
            facts = f"{check['images']} images; {shown}{more}"
        sheet = records.folder / "data" / name / "contact_sheet.png"
        found.append(
            Dataset(
                name,
                " and ".join(roles),
                facts,
                list(check["warnings"]) if check else [],
                copied(sheet, f"sheets/{name}.jpg", pictures) if sheet.is_file() else "",
            )
        )
    return found


def batches(records: RunRecords, pictures: Pictures) -> list[Sheet]:
    """Return the pictures of first batches, and copy them into the page."""
    return [
        Sheet(model, copied(path, f"sheets/batches.{model.replace('/', '.')}.jpg", pictures))
        for model in records.planned
        if (path := records.folder / "models" / model / "batches.png").is_file()
    ]


def copied(path: Path, name: str, pictures: Pictures) -> str:
    """Copy a sheet into the folder of the page, and return its path there."""
    to = pictures.folder / name
    if not pictures.is_there(to, [path]):
        rgb = read_image(path)
        write_image(to, reduced(rgb, *scaled_size(rgb.shape, SHEET_PIXELS)), PHOTO_QUALITY)
    return name


def class_shares(records: RunRecords) -> Grid | None:
    """Return the share of each class in the labels of each dataset whose labels the run reads."""
    columns = {name: check["classes"] for name, check in records.checks.items() if "classes" in check}
    if not columns:
        return None
    rows = []
    for name in records.space.classes:
        row = [Cell(name)]
        for classes in columns.values():
            share = classes[name]["share"] if name in classes else None
            row.append(Cell.number(None if share is None else 100 * share, 2, heat=share))
        rows.append(row)
    return Grid("Share of each class in the labels (%)", ["class", *columns], rows)
