"""The estimate of what a run's models take on disk, against the files of a finished run."""

from cotrain.configuration.reading import read_settings
from cotrain.configuration.run_plan import Storage
from cotrain.data.disk_space import bytes_below, missing_bytes
from cotrain.data.network_sizes import read_network_sizes
from tests.conftest import mounted_disk


def test_models_and_states_take_what_was_estimated(finished_run, tmp_path):
    results, states = (finished_run.folder / name / "tiny" for name in ("results", "state"))
    storage = read_settings(results / "settings" / "storage.json", Storage)
    networks = read_network_sizes(results / "data" / "networks.json")
    assert len(storage.models) == 6
    [before], [of_states] = (
        part.values() for part in missing_bytes(storage, {}, networks, tmp_path, tmp_path)
    )
    for estimate, folder in ((before, results / "models"), (of_states, states)):
        # A target of its own makes the sheets.
        sheets = sum(path.stat().st_size for path in folder.rglob("batches.png"))
        assert 1 <= estimate / (bytes_below(folder) - sheets) <= 1.6
    # Nothing of this is asked for again.
    below_results, below_states = missing_bytes(storage, {}, networks, results, states)
    assert below_results == {"models": 0}
    assert below_states == {"states of trainings": 0}


def test_a_run_that_does_not_fit_ends_before_its_first_job(run, tmp_path):
    """A disk with room for the first files, but not for 2 000 rendered images."""
    with mounted_disk(tmp_path / "disk", "60m") as disk:
        (run.folder / "results").symlink_to(disk)
        streets = {"layout": "streets", "look": "game", "images": 2000, "width": 480, "height": 360}
        configuration = run.configuration()
        configuration["datasets"]["synthetic"] = streets
        run.configure(configuration)
        done = run.snakemake()
        assert done.returncode == 1
        *_, last = done.stdout.splitlines()
        # 345.6 million pixels of the source: 1.5 bytes translated, 0.4 rendered, 0.1 for labels of either.
        assert "run/results: its disk has 60.0 MiB free, but the run, without its models, needs about" in last
        assert "(494.4 MiB translated images, 33.0 MiB labels," in last
        assert "164.8 MiB rendered images); free some space" in last
        assert "job" not in done.stdout
        assert not [path for path in disk.rglob("*") if path.is_file()]
        # What trains nothing needs little.
        assert run.snakemake("--", "results/tiny/data/camera/images.tsv").returncode == 0
