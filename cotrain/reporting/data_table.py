"""The content of a dataset, as text for a terminal."""

from cotrain.data.checks import CheckReport
from cotrain.words import counted


def data_table(name: str, report: CheckReport) -> str:
    """Return the report of `cotrain.data.checks.check_items` as a table.

    The table has a line for each id that occurs, with its name in the dataset, the class that it becomes in
    the run, its share of all pixels and the number of images that show it. Above it stand the warnings of
    the check, below it the classes of the run that no label shows.
    """
    sizes = [f"{size.replace('x', '×')} ({count})" for size, count in report["sizes"].items()]
    more = f" and {len(sizes) - 4} more" if len(sizes) > 4 else ""
    images = counted(report["images"], "image")
    lines = [f"{name}: {images} of {', '.join(sizes[:4])}{more}"]
    if report["turned"]:
        first, *others = report["turned"]
        turned = f"{first} and {len(others)} more are" if others else f"{first} is"
        but = ", but labels are never turned" if "ids" in report else ""
        lines.append(f"  {turned} turned upright according to EXIF{but}")
    lines += [
        f"  {counted(number, 'has', 'have')} {converted}" for converted, number in report["converted"].items()
    ]
    lines += [f"  warning: {warning}" for warning in report["warnings"]]
    if "ids" not in report:
        return "\n".join(lines)
    pixels = sum(entry["pixels"] for entry in report["ids"].values())
    rows = [("id", "in the dataset", "in the run", "pixels %", "images")]
    for own_id, entry in report["ids"].items():
        share = f"{100 * entry['pixels'] / max(pixels, 1):.2f}"
        rows.append(
            (own_id, entry["name"] or "void", entry["class"] or "ignored", share, str(entry["images"]))
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        left = f"{row[0]:>{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:<{widths[2]}}"
        lines.append(f"  {left}  {row[3]:>{widths[3]}}  {row[4]:>{widths[4]}}")
    absent = [name for name, entry in report["classes"].items() if not entry["pixels"]]
    if absent:
        lines.append(f"  no pixel of {', '.join(absent)}")
    return "\n".join(lines)
