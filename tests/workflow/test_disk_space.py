"""The estimate of what a run's models take on disk, against the files of a finished run."""

from cotrain.configuration.reading import read_settings
from cotrain.configuration.run_plan import Storage
from cotrain.data.disk_space import bytes_below, missing_bytes
from cotrain.data.network_sizes import read_network_sizes


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
