"""The tables of a run: the scores of each model, in total and for each class.

Scores are in per cent and differences in points, as usual in the field.
"""

from collections.abc import Mapping, Sequence

from cotrain.errors import InputError
from cotrain.evaluation.scores import ModelScores
from cotrain.training.record import TrainingRecord

BASELINE = "baseline"
UPPER_BOUND = "upper_bound"
MISSING = "–"
TEXT_WIDTH = 110

Table = list[list[str]]


def percent(share: float | None, decimals: int = 2) -> str:
    """Return a share in per cent, without the sign "%", or a dash if there is no share."""
    return MISSING if share is None else f"{100 * share:.{decimals}f}"


def check_comparable(rows: Sequence[ModelScores]) -> None:
    """Raise InputError if two models were scored on different classes or images or by different protocols."""
    for row in rows[1:]:
        first = rows[0]
        keys = sorted({*first.protocol, *row.protocol})
        facts = [
            ("classes", ", ".join(first.iou), ", ".join(row.iou)),
            ("number of images", first.images, row.images),
            ("mean_iou_of", ", ".join(first.mean_iou_of), ", ".join(row.mean_iou_of)),
            *((f"protocol.{key}", first.protocol.get(key), row.protocol.get(key)) for key in keys),
        ]
        for name, expected, found in facts:
            if expected != found:
                raise InputError(
                    f"the scores of `{first.model}` and `{row.model}` cannot be compared: {name} is "
                    f"{expected} for the first and {found} for the second. Evaluate both in the same way."
                )


def share_of_gap_closed(score: float, baseline: float, upper_bound: float) -> float | None:
    """Return (score - baseline) / (upper bound - baseline), or None if there is no gap to close."""
    return (score - baseline) / (upper_bound - baseline) if upper_bound > baseline else None


def models_table(rows: Sequence[ModelScores]) -> Table:
    """Return a header and one line per model, in the order of `rows`: scores in per cent, gains in points.

    The gain is shown if a model is called `baseline`, the closed share of the gap if another one is called
    `upper_bound`, and the mean over fewer classes if the scores hold it.
    """
    by_name = {row.model: row.mean_iou for row in rows}
    baseline, upper_bound = by_name.get(BASELINE), by_name.get(UPPER_BOUND)
    table: Table = [["model", "mIoU"]]
    if baseline is not None:
        table[0].append("gain (points)")
    if baseline is not None and upper_bound is not None:
        table[0].append("gap closed")
    subsets = list(rows[0].mean_iou_of)
    table[0] += [f"mIoU {name}" for name in subsets]
    table[0] += ["fwIoU", "pixel accuracy", "mean class accuracy"]
    for row in rows:
        line = [row.model, percent(row.mean_iou)]
        if baseline is not None:
            gain = 100 * (row.mean_iou - baseline)
            line.append(MISSING if row.model == BASELINE else f"{gain:+.2f}")
        if baseline is not None and upper_bound is not None:
            # The two ends of the gap are 0 and 100 by definition, so they need no numbers.
            at_end = row.model in (BASELINE, UPPER_BOUND)
            share = None if at_end else share_of_gap_closed(row.mean_iou, baseline, upper_bound)
            line.append(percent(share, 1))
        line += [percent(row.mean_iou_of[name]) for name in subsets]
        line += [
            percent(row.frequency_weighted_iou),
            percent(row.pixel_accuracy),
            percent(row.mean_class_accuracy),
        ]
        table.append(line)
    return table


def classes_table(rows: Sequence[ModelScores], decimals: int = 2) -> Table:
    """Return the IoU in per cent: a header of class names and one line for each model."""
    table: Table = [["model", *rows[0].iou]]
    table += [[row.model, *(percent(value, decimals) for value in row.iou.values())] for row in rows]
    return table


def trainings_table(trainings: Mapping[str, TrainingRecord]) -> Table:
    """Return what is known of models without labels: a header and one line per model, in their order."""
    table: Table = [
        ["model", "iterations", "last loss", "target images", "kept pixels (%)", "vanished classes"]
    ]
    for model, training in trainings.items():
        images, loss = training.images, training.last_loss
        table.append(
            [
                model,
                str(training.settings.iterations),
                MISSING if loss is None else f"{loss:.3f}",
                str(images.target) if images.target else MISSING,
                percent(images.kept_share, 1),
                str(len(training.vanished_classes)),
            ]
        )
    return table


def transposed(table: Table) -> Table:
    """Return the table with lines and columns exchanged."""
    return [list(column) for column in zip(*table, strict=True)]


def _widths(table: Table) -> list[int]:
    return [max(len(line[column]) for line in table) for column in range(len(table[0]))]


def _text_width(table: Table) -> int:
    return sum(_widths(table)) + 2 * (len(table[0]) - 1)


def to_text(table: Table) -> str:
    """Return the table with aligned columns: the first column at the left, numbers at the right."""
    widths = _widths(table)

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "  ".join([first, *rest]).rstrip()

    return "\n".join([line(table[0]), "-" * _text_width(table), *map(line, table[1:])]) + "\n"


def _columns(table: Table, columns: Sequence[int]) -> Table:
    return [[line[column] for column in (0, *columns)] for line in table]


def _blocks(table: Table) -> list[Table]:
    """Split a table that is too wide into several that repeat the first column, evenly if that fits."""
    groups: list[list[int]] = []
    for column in range(1, len(table[0])):
        if groups and _text_width(_columns(table, [*groups[-1], column])) <= TEXT_WIDTH:
            groups[-1].append(column)
        else:
            groups.append([column])
    size = -(-(len(table[0]) - 1) // len(groups))
    columns = list(range(1, len(table[0])))
    even = [_columns(table, columns[start : start + size]) for start in range(0, len(columns), size)]
    if all(_text_width(block) <= TEXT_WIDTH for block in even):
        return even
    return [_columns(table, group) for group in groups]


def classes_text(rows: Sequence[ModelScores]) -> str:
    """Return the IoU per class in per cent for a terminal, at most `TEXT_WIDTH` characters wide."""
    return fitted_text(classes_table(rows, decimals=1))


def fitted_text(table: Table) -> str:
    """Return a table whose columns are classes as text with at most `TEXT_WIDTH` characters per line.

    Classes are columns if they fit, otherwise lines. If neither fits, the form with fewer tables is used.
    """
    class_lines = transposed(table)
    class_lines[0][0] = "class"
    blocks = _blocks(table)
    if len(blocks) > 1:
        blocks = min(_blocks(class_lines), blocks, key=len)
    return "\n".join(to_text(block) for block in blocks)


def to_tsv(table: Table) -> str:
    """Return the table as tab-separated values; a missing number is an empty cell."""
    return "".join("\t".join("" if cell == MISSING else cell for cell in line) + "\n" for line in table)


def to_markdown(table: Table) -> str:
    """Return the table as GitHub-flavoured Markdown, with numbers at the right."""
    rule = [":---", *["---:"] * (len(table[0]) - 1)]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in [table[0], rule, *table[1:]]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
