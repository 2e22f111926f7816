"""A run whose model has collapsed ends before anything is trained on its labels, or goes on if told to."""

import re
import shutil

THRESHOLDS = "results/tiny/pseudo_labels/self_training/00/thresholds.json"


def test_a_run_stops_before_a_collapsed_model_labels_anything(finished_run, run):
    # The baseline of the tiny run has learnt so little that it takes nearly all for vegetation.
    shutil.rmtree(run.folder)
    shutil.copytree(finished_run.folder, run.folder)
    file = run.folder / THRESHOLDS
    before = file.read_bytes()
    file.unlink()
    told_to_go_on = run.configuration()
    run.configure({key: value for key, value in told_to_go_on.items() if key != "on_collapse"})
    stopped = run.snakemake("--", THRESHOLDS)
    assert stopped.returncode == 1
    assert not file.exists()
    assert re.search(
        r"  thresholds: baseline has collapsed: 9\d\.\d % of the target is vegetation to it, 23\.8 % of the "
        r"source is; it is unsure, so it has learnt too little: raise baseline\.iterations, or go on with "
        r"on_collapse: warn \(log: results/tiny/logs/thresholds/self_training/00\.log\)$",
        stopped.stdout.strip().splitlines()[-1],
    )
    run.configure(told_to_go_on)
    done = run.snakemake("--", THRESHOLDS)
    assert done.returncode == 0, done.stdout[-3000:]
    # What was predicted is still there, and the thresholds do not depend on the answer.
    assert "  predict results/" not in done.stdout
    assert "warning: baseline has collapsed" in done.stdout
    assert file.read_bytes() == before
