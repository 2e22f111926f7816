"""Make the page of a run: whether it worked, pictures to look at, how it learnt, what it cost.

in:  the folder of a run, results/RUN, finished or not: the page shows whatever is there so far
out: index.html, which opens from disk without a network, and beside it the folder `page` with its pictures;
     those that are up to date are not made again
"""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from cotrain.data.files import write_text
from cotrain.data.masks import EgoVehicleMask
from cotrain.reporting.page.look import Pictures, galleries
from cotrain.reporting.page.records import read_run
from cotrain.reporting.page.render import PICTURES, page
from workflow_scripts.command_line import (
    add_threads_argument,
    error_in,
    logger,
    new_parser,
    parse,
    run,
    unfinished_logs,
)

EXAMPLE = "python -m workflow_scripts.page --run results/demo --output by_hand/page/index.html"


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--run", type=Path, required=True, metavar="FOLDER", help="folder of the run")
    add_threads_argument(parser, default=4)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the page (default: report/index.html in the folder of the run)",
    )
    options = parse(parser, arguments)
    output = options.output or options.run / "report" / "index.html"
    records = replace(read_run(options.run), stopped=errors_in(options.run / "logs"))
    mask = records.configuration.ego_vehicle_mask
    pictures = Pictures(output.parent / PICTURES, records.space, EgoVehicleMask(Path(mask) if mask else None))
    shown = list(galleries(records, pictures, options.threads))
    text = page(records, shown, pictures, datetime.now())
    pictures.remove_others()
    write_text(output, text)
    images = ", ".join(f"{len(gallery.images)} {gallery.title.lower()}" for gallery in shown)
    logger.info("page: %s%s", output, f"; {images}" if images else "")


def errors_in(logs: Path) -> dict[str, str]:
    """Return the errors that ended jobs which have not succeeded since, by the names of their logs."""
    errors = {name: error_in(path) for name, path in unfinished_logs(logs).items()}
    return {name: error for name, error in errors.items() if error}


if __name__ == "__main__":
    run(main)
