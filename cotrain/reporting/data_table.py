"""What is in a dataset, as text for a terminal."""

from collections.abc import Mapping
from typing import Any


def data_table(name: str, report: Mapping[str, Any]) -> str:
    """Return the report of `cotrain.data.checks.check_items` as a table.

    Every id that occurs stands with its name in the dataset, the class that it becomes in the run, its
    share of all pixels and the number of images with it; then the classes of the run that no label shows.
    """
    sizes = [f"{size.replace('x', '×')} ({count})" for size, count in report["sizes"].items()]
    more = f" and {len(sizes) - 4} more" if len(sizes) > 4 else ""
    images = "1 image" if report["images"] == 1 else f"{report['images']} images"
    lines = [f"{name}: {images} of {', '.join(sizes[:4])}{more}"]
    if report["turned"]:
        first, *others = report["turned"]
        many = f"{first} and {len(others)} more are" if others else f"{first} is"
        but = ", while labels are taken as they are" if "ids" in report else ""
        lines.append(f"  {many} turned upright as EXIF says{but}")
    if "ids" not in report:
        return "\n".join(lines)
    pixels = sum(found["pixels"] for found in report["ids"].values())
    rows = [("id", "in the dataset", "in the run", "pixels %", "images")]
    for own_id, found in report["ids"].items():
        share = f"{100 * found['pixels'] / max(pixels, 1):.2f}"
        rows.append(
            (own_id, found["name"] or "void", found["class"] or "ignored", share, str(found["images"]))
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        left = f"{row[0]:>{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:<{widths[2]}}"
        lines.append(f"  {left}  {row[3]:>{widths[3]}}  {row[4]:>{widths[4]}}")
    absent = [name for name, found in report["classes"].items() if not found["pixels"]]
    if absent:
        lines.append(f"  no pixel of {', '.join(absent)}")
    return "\n".join(lines)
