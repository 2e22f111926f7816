"""A mend of Snakemake: what stands behind a job only by `ancient` inputs is looked at by itself.

Where a job is to run, Snakemake takes for granted that all jobs behind it will run too, and looks at none of
their own reasons. Behind an `ancient` input nothing runs because of the job before it. So where the checks
ran again, a file that somebody had asked for was not made, and Snakemake ended as if it were.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from snakemake.dag import DAG

_search = DAG.bfs


class _WithoutAncient:
    """For each job, those behind it that do not have only `ancient` inputs from it."""

    def __init__(self, depending: Mapping[Any, Mapping[Any, Any]]) -> None:
        self.depending = depending

    def __getitem__(self, job: Any) -> dict[Any, Any]:
        behind = self.depending[job].items()
        return {other: files for other, files in behind if not all(file.is_ancient for file in files)}


def _search_without_ancient(dag: DAG, direction: Any, *jobs: Any, **more: Any) -> Iterator[Any]:
    edges = _WithoutAncient(direction) if direction is dag.depending else direction
    yield from _search(dag, edges, *jobs, **more)


def look_behind_ancient_inputs() -> None:
    """Let Snakemake find the reasons of such jobs, in this process."""
    DAG.bfs = _search_without_ancient
