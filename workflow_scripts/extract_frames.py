"""Split a video into photos: every k-th frame, or each frame in which enough has changed.

Neighbouring frames of a video look alike, and a network learns nothing from the same street twice. OUTPUT
gets NAME_000000.jpg and so on, with the numbers of the frames, and frames.txt, a list of them. Frames that
OUTPUT has already are written again.
"""

from pathlib import Path

from cotrain.data.video import write_frames
from cotrain.words import agreeing
from workflow_scripts.command_line import add_output_argument, logger, new_parser, parse, positive, run, share

EXAMPLE = """python -m workflow_scripts.extract_frames --video drive.mp4 --every 10 --output by_hand/frames"""


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--video", type=Path, required=True, help="video file")
    parser.add_argument("--every", type=positive, default=1, help="take every k-th frame (default: 1)")
    parser.add_argument(
        "--change",
        type=share,
        metavar="SHARE",
        help="of these, take only frames that differ from the last one taken by this share of the range of "
        "grey values, e.g. 0.03",
    )
    add_output_argument(parser, "FOLDER", "folder for the photos")
    options = parse(parser, arguments)
    paths = write_frames(options.video, options.output, options.every, options.change)
    logger.info(
        "%d %s of %s %s in %s",
        *(len(paths), agreeing(len(paths), "frame", "frames"), options.video),
        *(agreeing(len(paths), "is", "are"), options.output),
    )


if __name__ == "__main__":
    run(main)
