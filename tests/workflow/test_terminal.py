"""What a person sees on the terminal: a line for each job, the time left, and at the end what counts."""

import re
import signal

import pytest

from tests.workflow.conftest import wait_for_save

TIMED = re.compile(r"\d\d:\d\d:\d\d  (.*)")
JOB = re.compile(r"\[(\d+)/(\d+)(, [^]]+ left)?\] (.*) \([^()]+\)$")


def lines_of(output):
    return [line for line in output.splitlines() if line.strip()]


def test_every_job_has_one_line(finished_run):
    output = (finished_run.folder / "output.txt").read_text()
    found = [match for line in TIMED.findall(output) if (match := JOB.match(line))]
    # Settings are written in no time, the report has its table in place of a line, and `all` only collects.
    counts = [int(match[1]) for match in found]
    [total] = {int(match[2]) for match in found}
    assert re.search(
        rf"  {total} jobs to do; `snakemake estimate` says how long the whole run takes\n", output
    )
    # Before them stands what is hardly meant: the tiny run's trainings are far too short.
    notes = re.findall(r"\d\d:\d\d:\d\d  note: (.*)", output.split("[1/")[0])
    assert any(note.startswith("baseline.iterations is ") for note in notes)
    assert not [match for match in found if "settings of" in match[4]]
    assert len(found) > 60
    assert counts[-1] >= total - 3
    assert len(set(counts)) == len(counts)
    steps = [match[4].partition(":")[0] for match in found]
    predicted = [step for step in steps if step.startswith("predict ")]
    assert len(predicted) == len(set(predicted)) == 32
    assert [int(match[1]) for match in found] == sorted(int(match[1]) for match in found)
    # What a job has to say: the last message in its log.
    assert any(re.fullmatch(r"baseline: weights in results/tiny/models/baseline/\S+", m[4]) for m in found)
    # Before the first training nothing is known of its speed; after it all lines tell the time.
    known = [bool(match[3]) for match in found]
    assert known == sorted(known)
    assert known.index(True) <= [match[4].startswith("baseline: weights") for match in found].index(True)
    for of_snakemake in ("Select jobs", "Execute", "Finished jobid", "steps (", "Job stats", "Complete log"):
        assert of_snakemake not in output


def test_the_table_and_its_path_come_last(finished_run):
    *_, table, last = lines_of((finished_run.folder / "output.txt").read_text())
    assert table == "Tables and picture: results/tiny/report"
    result = (
        "all models are compared in results/tiny/report/models.txt; photos, as the models see them: "
        "results/tiny/report/photos.jpg. Open the page of the run: results/tiny/report/index.html"
    )
    assert re.search(rf"finished in [^:]*: {re.escape(result)}$", last)
    again = finished_run.snakemake()
    last = lines_of(again.stdout)[-1]
    assert last == f"Nothing to do: {result}"


def test_the_mistake_comes_last(run):
    (run.folder / "some data" / "camera_test" / "labels" / "01.png").unlink()
    lines = lines_of(run.snakemake("--", "collect_checks").stdout)
    assert not any("Snakemake: " in line for line in lines)
    last = lines[-1]
    assert re.search(
        r"  make_manifest: datasets\.camera_test: 1 problem: .*camera_test\.labels\.txt:2: .*01\.png: does "
        r"not exist \(log: results/tiny/logs/make_manifest/camera_test\.labelled\.log\)$",
        last,
    )


def stopped(run, stop):
    """Return the messages of a run that `stop` ends in the training of the baseline."""
    configuration = run.configuration()
    configuration["baseline"]["iterations"] = 60
    run.configure(configuration)
    with (run.folder / "output.txt").open("w+") as output:
        process = run.start("--", "baseline", output=output)
        wait_for_save(run, process)
        stop(process)
        assert process.wait(timeout=120) != 0
        output.seek(0)
        return [timed[1] for line in output if (timed := TIMED.match(line))]


def test_an_interruption_says_how_to_go_on(run):
    messages = stopped(run, lambda process: run.kill(process, signal.SIGINT))
    told = "stopping: running jobs end now, and trainings save first; this may take a minute"
    assert messages.count(told) == 1
    assert messages[-1] == "interrupted; the same command goes on where it stopped"
    assert not (run.folder / "results" / "tiny" / "models" / "baseline" / "weights.safetensors").exists()


def test_sigterm_of_snakemake_only_lets_the_job_end_that_runs(run):
    messages = stopped(run, lambda process: process.send_signal(signal.SIGTERM))
    told = "stopping (SIGTERM): running jobs go on to their end, no other starts; Ctrl-C ends them"
    assert messages.count(told) == 1
    assert messages[-1] == "interrupted; the same command goes on where it stopped"
    assert (run.folder / "results" / "tiny" / "models" / "baseline" / "weights.safetensors").exists()
    assert not (run.folder / "results" / "tiny" / "evaluation").exists()


@pytest.mark.parametrize("name", ["results", "results/tiny", "state", "state/tiny"])
@pytest.mark.parametrize("is_link", [True, False])
def test_a_folder_of_the_run_that_cannot_be_made(run, name, is_link):
    path = run.folder / name
    path.parent.mkdir(exist_ok=True)
    if is_link:
        path.symlink_to("/a disk/that is not mounted")
    else:
        path.touch()
    done = run.snakemake("--", "collect_checks")
    assert done.returncode != 0
    top, _, _ = name.partition("/")
    found = "a link to /a disk/that is not mounted, which is not there: is its disk mounted?"
    if not is_link:
        found = "a file; move it away, or take another place"
    assert lines_of(done.stdout)[-1] == f"{top}/tiny: the folder cannot be made: {name} is {found}"


def test_a_file_where_the_logs_belong(run):
    """Snakemake itself ends, in the middle of the run; its traceback is in its own log."""
    (run.folder / "results" / "tiny").mkdir(parents=True)
    (run.folder / "results" / "tiny" / "logs").touch()
    done = run.snakemake("--", "collect_checks")
    assert done.returncode != 0
    last = lines_of(done.stdout)[-1]
    assert re.search(r"  results/tiny/logs/\S+: lies below a file, expected a folder there$", last)


def test_snakemakes_own_output_comes_back(run):
    output = run.snakemake("--quiet", "host", "--", "results/tiny/settings/crops.json").stdout
    assert "Finished jobid: 0 (Rule: write_settings)" in output
    assert "settings of crops -> results/tiny/settings/crops.json" in output


def test_a_mistyped_target_is_answered_with_those_that_there_are(run):
    for options in ([], ["--dry-run"]):
        last = lines_of(run.snakemake(*options, "--", "selftraining").stdout)[-1]
        assert last.startswith(
            "there is no target selftraining (did you mean self_training?); expected one of"
        )
