"""Show label files in colour, with a legend, by themselves and on top of their images.

in:  labels as a list with one path per line, a manifest or a folder; the images, unless a manifest names
     them. Labels hold train ids (or the dataset's own ids, if --classes names their class table).
out: OUTPUT/coloured/NAME.png and, if the images are known, OUTPUT/overlays/NAME.jpg, each with a legend. Void
     is black; on top of an image, it is darkened.
"""

from cotrain.data.files import refuse_overwriting
from cotrain.data.images import read_image, write_image
from cotrain.data.label_files import LabelFile, TrainIdReader, names_of, read_label_files
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.reporting.pictures import colourise, overlay, with_legend
from cotrain.threads import map_in_order
from workflow_scripts.command_line import (
    add_label_files_arguments,
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    run,
    share,
)

EXAMPLE = """python -m workflow_scripts.colour_labels \\
    --labels results/demo/pseudo_labels/ensemble/manifest.tsv --label-space cityscapes7 \\
    --output by_hand/coloured"""
VOID = ("void", (0, 0, 0))


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    add_label_files_arguments(parser, "classes and colours")
    parser.add_argument("--opacity", type=share, default=0.5, help="of the colours, 0 to 1 (default: 0.5)")
    add_threads_argument(parser, default=4)
    add_output_argument(parser, "FOLDER", "folder to write into")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    names, colours = (*space.classes, VOID[0]), (*space.palette, VOID[1])
    files = read_label_files(options.labels, options.images)
    reader = TrainIdReader(space, options.classes, "--classes")
    refuse_overwriting(
        [
            options.output / folder / f"{name}{suffix}"
            for name in names_of(files)
            for folder, suffix in (("coloured", ".png"), ("overlays", ".jpg"))
        ],
        [path for file in files for path in (file.path, file.image) if path],
    )

    def write_pictures(work: tuple[str, LabelFile]) -> None:
        name, file = work
        label = reader.read(file.path)
        coloured = with_legend(colourise(label, space.palette), names, colours)
        write_image(options.output / "coloured" / f"{name}.png", coloured)
        if file.image is not None:
            try:
                picture = overlay(read_image(file.image), label, space.palette, options.opacity)
            except ValueError as error:
                raise InputError(f"{file.origin}: {file.path} over {file.image}: {error}") from error
            write_image(options.output / "overlays" / f"{name}.jpg", with_legend(picture, names, colours))
        progress.advance()

    with Progress(len(files), "labels", "colour") as progress:
        for _ in map_in_order(write_pictures, zip(names_of(files), files, strict=True), options.threads):
            pass
    logger.info("written to %s", options.output)


if __name__ == "__main__":
    run(main)
