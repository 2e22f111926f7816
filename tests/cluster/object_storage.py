"""The tiny run with its results on S3: on one machine, and in pods that share no files but a volume.

Real Snakemake, its real plugins for S3 and Kubernetes, and the profiles of this repository. Only what is
behind the plugins is made for the test: moto's S3 server, and an API server that runs pods as processes.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import boto3
import pytest
import torch
import yaml
from moto.server import ThreadedMotoServer

from tests.cluster.pods import Cluster
from tests.workflow.conftest import PROJECT, Run, tiny_configuration

BUCKET = "results-of-the-team"
ITERATIONS = 60
# What a run makes without words and paths in it: the same bytes wherever it is made.
COMPARED = (
    *("models/**/*.safetensors", "models/**/history.jsonl"),
    *("pseudo_labels/**/*.json", "evaluation/**/*.tsv", "report/*.tsv"),
)


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """An S3 server; returns the variables by which Snakemake's plugin finds it."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": f"http://{host}:{port}",
        "SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "key",
        "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "secret",
    }
    server.stop()


def bucket(s3: dict[str, str]):
    """Return the bucket with the results."""
    return boto3.resource(
        "s3",
        endpoint_url=s3["SNAKEMAKE_STORAGE_S3_ENDPOINT_URL"],
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    ).Bucket(BUCKET)


def objects(s3: dict[str, str], folder: str) -> dict[str, bytes]:
    """Return everything that is stored of the tiny run: {path below its results: content}."""
    prefix = f"{folder}/results/tiny/"
    found = bucket(s3).objects.filter(Prefix=prefix)
    return {item.key.removeprefix(prefix): item.get()["Body"].read() for item in found}


def short_configuration(data: Path) -> dict:
    """Return the tiny run with less to predict, and data at an absolute path."""
    configuration = tiny_configuration()
    for dataset in configuration["datasets"].values():
        for kind in ("images", "labels"):
            dataset[kind] = str(data / dataset[kind])
    # A GPU is asked for, but not needed.
    configuration["device"] = "auto"
    configuration["baseline"]["iterations"] = ITERATIONS
    configuration["self_training"]["relabel_rounds"] = 0
    configuration["prediction"] = {"shards": 1}
    return configuration


@pytest.fixture(scope="module")
def run_on_disk(tmp_path_factory) -> Run:
    """The same run without a storage."""
    run = Run(tmp_path_factory.mktemp("on disk"))
    run.configure(short_configuration(run.folder))
    done = run.snakemake()
    assert done.returncode == 0, done.stdout[-4000:]
    return run


def compared(run: Run) -> dict[str, bytes]:
    results = run.folder / "results" / "tiny"
    return {
        str(path.relative_to(results)): path.read_bytes() for kind in COMPARED for path in results.glob(kind)
    }


def iteration(state: Path) -> int:
    path = state / "baseline" / "last.pt"
    return torch.load(path, weights_only=True)["iteration"] if path.exists() else 0


def wait_for_save(state: Path, driver: subprocess.Popen) -> None:
    deadline = time.monotonic() + 600
    while not 0 < iteration(state) < ITERATIONS:
        assert driver.poll() is None, "the workflow ended before it could be killed"
        assert time.monotonic() < deadline, "no state was saved within ten minutes"
        time.sleep(0.02)


def test_on_one_machine_killed_in_a_training(s3, run_on_disk, tmp_path) -> None:
    """`profiles/s3`: results are in the bucket, and a training goes on from its state."""
    run = Run(tmp_path / "one machine")
    run.configure(short_configuration(run.folder))
    arguments = (
        *("--workflow-profile", str(PROJECT / "profiles" / "s3")),
        *("--default-storage-prefix", f"s3://{BUCKET}/one", "--", "baseline"),
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.items():
            patch.setenv(name, value)
        driver = run.start(*arguments)
        wait_for_save(run.folder / "storage" / "s3" / BUCKET / "one" / "state" / "tiny", driver)
        run.kill(driver, signal.SIGKILL)
        assert "models/baseline/weights.safetensors" not in objects(s3, "one")
        done = run.snakemake(*arguments)
        assert done.returncode == 0, done.stdout[-4000:]
        assert "resumed at iteration" in done.stdout
        again = run.snakemake(*arguments[:-2], "--dry-run", *arguments[-2:])
        assert "Nothing to be done" in again.stdout, again.stdout[-4000:]
    stored, expected = objects(s3, "one"), compared(run_on_disk)
    name = "models/baseline/weights.safetensors"
    assert stored[name] == expected[name]
    assert not (run.folder / "results").exists()
    assert not (run.folder / "state").exists()


@pytest.fixture
def clone(tmp_path) -> Path:
    """What git lists of this repository, in a clone: jobs get it from the bucket."""
    folder = tmp_path / "volume" / "clone"
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)
    for arguments in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


def check_pods(jobs: list[dict], volume: Path) -> None:
    """A training asks for a GPU, memory, the image and the volume; reading images for CPUs and no GPU."""
    resources: dict[str, dict] = {}
    for job in jobs:
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        (rule,) = re.findall(r"--allowed-rules (\w+)", container["args"][1])
        resources[rule] = container["resources"]
        assert container["image"] == "registry/cotrain:test"
        assert {"name": "cotrain", "mountPath": str(volume)} in container["volumeMounts"]
        assert {"name": "cotrain", "persistentVolumeClaim": {"claimName": "cotrain"}} in pod["volumes"]
        assert pod["serviceAccountName"] == "cotrain"
        keys = {variable["name"] for variable in container["env"]}
        assert keys >= {"SNAKEMAKE_STORAGE_S3_ACCESS_KEY", "SNAKEMAKE_STORAGE_S3_SECRET_KEY"}
    for kind in ("requests", "limits"):
        assert resources["train"][kind]["nvidia.com/gpu"] == "1"
        assert re.fullmatch(r"[1-9]\d+M", resources["train"][kind]["memory"])
        assert resources["train"][kind]["ephemeral-storage"] == "2000M"
        assert "nvidia.com/gpu" not in resources["check_data"][kind]
    assert resources["check_data"]["limits"]["cpu"] == "2000m"
    assert resources["train"]["limits"]["cpu"] == "1000m"


def test_in_pods_killed_in_a_training(s3, run_on_disk, clone, tmp_path) -> None:
    """`profiles/kubernetes`: killed with its driver in a training, it ends with the same bytes."""
    volume = clone.parent
    data = Run(volume / "data")
    (clone / "tiny.yaml").write_text(yaml.safe_dump(short_configuration(data.folder)))
    programs = tmp_path / "programs"
    programs.mkdir()
    # The plugin's first command installs the storage plugin in each pod, from PyPI; it is there already.
    (programs / "pip").write_text("#!/bin/sh\n")
    (programs / "pip").chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    # Nothing but what an image has: keys of S3 reach the pods as a secret.
    inside = {"PATH": path, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    storage = volume / "storage"
    with Cluster(tmp_path / "cluster", inside) as cluster:
        command = [
            *(sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/kubernetes"),
            *(
                "--container-image",
                "registry/cotrain:test",
                "--kubernetes-persistent-volumes",
                f"cotrain:{volume}",
            ),
            *("--default-storage-prefix", f"s3://{BUCKET}/pods"),
            *("--local-storage-prefix", str(storage), "--remote-job-local-storage-prefix", str(storage)),
            *("--cores", "2", "--jobs", "2", "--seconds-between-status-checks", "1"),
            *("--configfile", "tiny.yaml"),
        ]
        environment = os.environ | inside | s3 | {"KUBECONFIG": str(cluster.kubeconfig)}
        start = partial(subprocess.Popen, command, cwd=clone, env=environment, start_new_session=True)
        with open(tmp_path / "first.txt", "w") as output:
            driver = start(stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_for_save(storage / "s3" / BUCKET / "pods" / "state" / "tiny", driver)
        except AssertionError as error:
            texts = [(tmp_path / "first.txt").read_text(), *map(cluster.log, cluster.pods)]
            raise AssertionError("\n".join(text[-3000:] for text in texts)) from error
        finally:
            os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
        cluster.kill_all()
        assert "models/baseline/weights.safetensors" not in objects(s3, "pods")

        done = subprocess.run(
            command, cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        logs = {name: cluster.log(name) for name in cluster.pods}
        assert done.returncode == 0, "\n".join([done.stdout[-4000:], *(log[-2000:] for log in logs.values())])
        assert any("resumed at iteration" in log for log in logs.values())

        again = [*command, "--dry-run"]
        planned = subprocess.run(again, cwd=clone, env=environment, capture_output=True, text=True)
        assert "Nothing to be done" in planned.stdout + planned.stderr, planned.stdout + planned.stderr

    stored, expected = objects(s3, "pods"), compared(run_on_disk)
    assert len(expected) > 20
    assert [name for name in expected if stored.get(name) != expected[name]] == []
    check_pods(cluster.jobs, volume)
    # Labels lie on the volume, and so do predictions until they are used.
    here = storage / "s3" / BUCKET / "pods" / "results" / "tiny"
    labels = list((run_on_disk.folder / "results" / "tiny").glob("pseudo_labels/**/*.png"))
    assert len(labels) > 10
    for label in labels:
        name = label.relative_to(run_on_disk.folder / "results" / "tiny")
        assert (here / name).read_bytes() == label.read_bytes()
    assert not [name for name in stored if name.startswith(("predictions/", "translated/images"))]
    assert not list((here / "predictions").rglob("*.h5"))


def test_what_would_lose_files_is_refused(tmp_path) -> None:
    run = Run(tmp_path / "run")
    storage = ("--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{BUCKET}/refused")
    done = run.snakemake("--dry-run", *storage)
    assert done.returncode != 0
    assert "expected --keep-storage-local-copies too" in done.stdout
    pods = ("--dry-run", "--workflow-profile", str(PROJECT / "profiles" / "kubernetes"))
    done = run.snakemake(*pods, "--local-storage-prefix", "storage")
    assert done.returncode != 0
    assert "--local-storage-prefix is storage, --remote-job-local-storage-prefix is /cotrain" in done.stdout
    done = run.snakemake(*pods)
    assert done.returncode != 0
    assert ".txt is relative to the working folder" in done.stdout
    assert "Traceback" not in done.stdout
