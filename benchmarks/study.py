"""A study: runs of several variants of a configuration, each with several seeds, and their comparison.

A variant is a small YAML file whose keys replace those of the configuration; the configuration itself is the
variant `unchanged`. The runs are made one after the other. If one is stopped, the same command goes on there.

    python -m benchmarks.study --configfile config/experiments/streets_camvid.yaml my_data.yaml \\
        --variants config/experiments/studies/final_*.yaml --seeds 100 101 102 --name final -- --cores 2

What follows `--` is given to Snakemake. The comparison, by the step compare, lies in results/studies/NAME.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from cotrain.configuration.reading import read_mapping
from cotrain.data.files import link_or_copy, make_folder
from workflow_scripts import compare
from workflow_scripts.command_line import run as run_step

PROJECT = Path(__file__).resolve().parents[1]
UNCHANGED = "unchanged"


def named_variants(files: Sequence[Path]) -> dict[str, Path | None]:
    """Return the variants by their names: the stems of their files, in letters that a run's name may have.

    Raises SystemExit for two files of one name.
    """
    variants: dict[str, Path | None] = {UNCHANGED: None}
    for file in files:
        name = re.sub(r"[^\w.-]", "_", file.stem, flags=re.ASCII)
        if name in variants:
            sys.exit(f"--variants: {file} and {variants[name] or 'no file'} have the name {name}; rename one")
        variants[name] = file
    return variants


def command_of_run(run: str, seed: int, files: Sequence[Path], more: Sequence[str]) -> list[str]:
    """Return the command that makes a run."""
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile")),
        *("--configfile", *map(str, files)),
        *("--config", f"run={run}", f"seed={seed}"),
        *more,
    ]


def share_scenes(run: Path, other: Path, files: Sequence[Path]) -> None:
    """Give a run the rendered streets of another, as further names of the same files, if both have them.

    Rendering keeps scenes that are there with the same settings.
    """
    datasets: dict[str, object] = {}
    for file in files:
        datasets |= read_mapping(file).get("datasets") or {}
    for name in datasets:
        source, target = (folder / "data" / name / "scenes" for folder in (other, run))
        if not (source / "scenes.tsv").is_file() or target.exists():
            continue
        for path in source.rglob("*"):
            # The list is written again, when all scenes are there.
            if path.is_file() and path.name != "scenes.tsv":
                new = target / path.relative_to(source)
                make_folder(new.parent)
                link_or_copy(new, path)


def main(arguments: list[str] | None = None) -> None:
    """Make all runs, then compare them."""
    words = sys.argv[1:] if arguments is None else arguments
    words, more = (
        (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    )
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--configfile", type=Path, nargs="+", required=True, help="what all runs share")
    parser.add_argument("--variants", type=Path, nargs="*", default=[], help="one YAML file a variant")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102], help="(default 100 101 102)")
    parser.add_argument("--name", required=True, help="of the study; its runs are NAME-VARIANT-SEED")
    options = parser.parse_args(words)
    for file in (*options.configfile, *options.variants):
        if not file.is_file():
            sys.exit(f"{file}: there is no such file; expected a configuration in YAML")
    variants = named_variants(options.variants)
    # Seed after seed, so that a first comparison is there early.
    planned = [(f"{options.name}-{name}-{seed}", seed, name) for seed in options.seeds for name in variants]
    for place, (run, seed, name) in enumerate(planned):
        print(f"study {options.name}: run {place + 1} of {len(planned)}, {run}", flush=True)
        file = variants[name]
        files = [*options.configfile, *([file] if file else [])]
        share_scenes(Path("results") / run, Path("results") / planned[0][0], files)
        done = subprocess.run(command_of_run(run, seed, files, more), check=False)
        if done.returncode:
            sys.exit(f"study {options.name}: {run} has failed; the same command goes on there")
    output = Path("results") / "studies" / options.name
    output.mkdir(parents=True, exist_ok=True)
    names = {name: read_mapping(file) if file else {} for name, file in variants.items()}
    (output / "variants.yaml").write_text(yaml.safe_dump(names, sort_keys=False, allow_unicode=True))
    runs = [f"results/{run}" for run, *_ in sorted(planned, key=lambda entry: list(variants).index(entry[2]))]
    if len(runs) > 1:
        compare.main([*runs, "--output", str(output)])


if __name__ == "__main__":
    # An error ends in one line, as in the steps.
    run_step(main)
