"""A study: runs of several variants of a configuration, each with several seeds, and their comparison.

A variant is a small YAML file whose keys replace those of the configuration; the configuration itself is the
variant `unchanged`. For each seed `unchanged` is run first. Each other variant begins with all that it has
made, and Snakemake makes again only what the variant changes: a variant of the final training repeats only
that one. So the runs of one seed also share their models up to there. If a study is stopped, the same command
goes on.

    python -m benchmarks.study --configfile config/experiments/streets_camvid.yaml my_data.yaml \\
        --variants config/experiments/studies/final_*.yaml --seeds 100 101 102 --name final -- --cores 2

What follows `--` is given to Snakemake. The folder results/studies/NAME holds the comparison, by the step
compare, and the working folder of each run, VARIANT-SEED, in which its own results lie. Paths in the
configuration are relative to the folder in which the study is started. Those that begin with `..`, or lie
below results, must be absolute.
"""

import argparse
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cotrain.configuration.reading import merged, read_mapping
from cotrain.data.files import link_or_copy, make_folder
from workflow_scripts import compare
from workflow_scripts.command_line import run as run_step

PROJECT = Path(__file__).resolve().parents[1]
UNCHANGED = "unchanged"
RESULTS, RECORDS = "results", ".snakemake/metadata"
SETTINGS = "settings/configuration.json"
# What Snakemake and a run make in a working folder.
OWN_FOLDERS = (RESULTS, "state", ".snakemake")
LARGE = (".png", ".jpg", ".h5", ".npy", ".safetensors", ".pt")


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


def settings_of(files: Sequence[Path]) -> dict[str, Any]:
    """Return the keys of configuration files, of which the last wins; without datasets, also the demo's."""
    settings = functools.reduce(merged, (read_mapping(file) for file in files))
    if "datasets" not in settings:
        settings = merged(read_mapping(PROJECT / "config" / "config.yaml"), settings)
    return settings


def command_of_run(work: Path, seed: int, files: Sequence[Path], more: Sequence[str]) -> list[str]:
    """Return the command that makes a run in its working folder."""
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile")),
        *("--directory", str(work), "--configfile", *(str(file.absolute()) for file in files)),
        *("--config", f"seed={seed}", *more),
    ]


def make_working_folder(work: Path, beginning: Path | None) -> None:
    """Make the working folder of a run, in which relative paths mean what they mean in the present folder.

    The run goes on from what the run in the working folder `beginning` has made: its results, the state of
    its trainings, and Snakemake's records of how all was made. These are kept by paths, which are the same in
    each working folder.
    """
    make_folder(work)
    for path in sorted(Path.cwd().iterdir()):
        link = work / path.name
        if path.name not in OWN_FOLDERS and not link.is_symlink():
            link.symlink_to(path)
            # A link is as old as its file, else Snakemake takes a list of images for one that was edited.
            times = path.stat() if path.exists() else path.lstat()
            os.utime(link, ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)
    if not beginning or (work / RESULTS).exists() or not (beginning / RESULTS).exists():
        return
    # Results last, and under their name only when all of them are there: a killed copy begins again.
    for part in (RECORDS, "state"):
        if (beginning / part).exists():
            copy_folder(beginning / part, work / part)
    partial = work / "results.partial"
    copy_folder(beginning / RESULTS, partial)
    # Its settings are those of the other run, and not every target makes them again.
    for settings in partial.glob(f"*/{SETTINGS}"):
        settings.unlink()
    partial.rename(work / RESULTS)


def copy_folder(folder: Path, to: Path) -> None:
    """Copy a folder. Large files, which no step changes in place, become further names of the same file."""
    shutil.copytree(folder, to, symlinks=True, copy_function=_link_or_copy, dirs_exist_ok=True)


def _link_or_copy(source: str, target: str) -> None:
    if Path(source).suffix in LARGE:
        link_or_copy(Path(target), Path(source))
        # A copy on a file system without such names is as old as its original too.
        shutil.copystat(source, target)
    else:
        shutil.copy2(source, target)


def share_scenes(scenes: Path, other: Path) -> None:
    """Give a run of another seed the rendered streets of a run, which are the same for all seeds."""
    if (other / "scenes.tsv").is_file() and not scenes.exists():
        copy_folder(other, scenes)
        # The list is written again, when all scenes are there.
        (scenes / "scenes.tsv").unlink()


def make(command: list[str], study: str, title: str) -> None:
    """Run Snakemake. Raises SystemExit if it fails."""
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"study {study}: {title} has failed; the same command goes on there")


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
    parser.add_argument("--name", required=True, help="of the study")
    options = parser.parse_args(words)
    for file in (*options.configfile, *options.variants):
        if not file.is_file():
            sys.exit(f"{file}: there is no such file; expected a configuration in YAML")
    variants = named_variants(options.variants)
    study = Path("results") / "studies" / options.name
    # Seed after seed, so that a first comparison is there early.
    planned = [(seed, name) for seed in options.seeds for name in variants]
    runs: dict[str, Path] = {}
    for place, (seed, name) in enumerate(planned):
        title = f"{name}-{seed}"
        print(f"study {options.name}: run {place + 1} of {len(planned)}, {title}", flush=True)
        variant = variants[name]
        files = [*options.configfile, *([variant] if variant else [])]
        settings = settings_of(files)
        work, results = study / title, Path(RESULTS) / str(settings.get("run"))
        make_working_folder(work, study / f"{UNCHANGED}-{seed}" if variant else None)
        for dataset in settings.get("datasets") or {}:
            scenes = results / "data" / dataset / "scenes"
            share_scenes(work / scenes, study / f"{UNCHANGED}-{options.seeds[0]}" / scenes)
        make(command_of_run(work, seed, files, more), options.name, title)
        if not (work / results / SETTINGS).is_file():
            # Only named targets make them, and no runs can be compared without.
            target = ["--cores", "1", str(results / SETTINGS)]
            make(command_of_run(work, seed, files, target), options.name, title)
        runs[title] = work / results
    names = {name: read_mapping(file) if file else {} for name, file in variants.items()}
    (study / "variants.yaml").write_text(yaml.safe_dump(names, sort_keys=False, allow_unicode=True))
    in_order = [str(runs[f"{name}-{seed}"]) for name in variants for seed in options.seeds]
    if len(in_order) > 1:
        compare.main([*in_order, "--output", str(study)])


if __name__ == "__main__":
    # An error ends in one line, as in the steps.
    run_step(main)
