import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ENVIRONMENTS = Path(__file__).parents[1] / "envs"


def pins(name):
    lines = (ENVIRONMENTS / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r"))]


def test_conda_and_pip_install_the_same():
    conda = yaml.safe_load((ENVIRONMENTS / "environment.yaml").read_text())
    assert conda["dependencies"][-1]["pip"] == pins("requirements.txt")


def test_every_requirement_is_pinned():
    names = sorted(path.name for path in ENVIRONMENTS.glob("requirements*.txt"))
    assert {"requirements.txt", "requirements-cluster.txt", "requirements-cluster-tests.txt"} < {*names}
    for name in names:
        assert pins(name)
        assert all(line.count("==") == 1 for line in pins(name))


def numbers(version):
    return [int(part) for part in version.split(".")]


def test_the_package_asks_for_the_pins_or_newer():
    """Only of torch, and torchvision with it, an older version is enough, which README.md names."""
    project = tomllib.loads((ENVIRONMENTS.parent / "pyproject.toml").read_text())["project"]
    pinned = dict(line.split("==") for line in pins("requirements.txt"))
    bounds = dict(line.split(">=") for line in project["dependencies"])
    # The workflow, which only a clone has, needs these.
    assert pinned.keys() - bounds.keys() == {"snakemake", "pygments"}
    assert bounds.keys() < pinned.keys()
    other = {name: bound for name, bound in bounds.items() if bound != pinned[name]}
    assert other == {"torch": "2.6", "torchvision": "0.21"}
    assert all(numbers(bound) < numbers(pinned[name]) for name, bound in other.items())
    readme = (ENVIRONMENTS.parent / "README.md").read_text()
    assert f"torch {bounds['torch']} or newer" in readme
    assert f"Python {project['requires-python'].removeprefix('>=')} to " in readme


def test_no_index_address_is_in_any_file():
    for path in ENVIRONMENTS.iterdir():
        assert "://" not in path.read_text()


def test_the_image_installs_the_pins():
    """It names files of requirements and no package, and takes torch by the same pins."""
    recipe = (ENVIRONMENTS / "Containerfile").read_text()
    assert "==" not in recipe.replace("^torch(vision)?==", "")
    assert "-r requirements.txt" in (ENVIRONMENTS / "requirements-cluster.txt").read_text()
    for name in re.findall(r"[\w-]+\.txt", recipe):
        assert name == "torch.txt" or (ENVIRONMENTS / name).is_file()
    found = [line for line in pins("requirements.txt") if re.match(r"^torch(vision)?==", line)]
    assert len(found) == 2
    assert "USER 1000" in recipe


def test_image_that_is_not_there_is_told_before_anything_is_done(tmp_path):
    (tmp_path / "a folder").mkdir()
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ENVIRONMENTS.parent / "Snakefile")]
    command += ["--software-deployment-method", "apptainer", "--", "baseline"]
    done = subprocess.run(command, cwd=tmp_path / "a folder", capture_output=True, text=True)
    assert done.returncode != 0
    assert "there is no image cotrain.sif in the working folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_manifests_of_the_cluster_agree_with_its_profile():
    """The volume, its path, the image and the account of the driver are those of the pods that it starts."""
    folder = ENVIRONMENTS.parent / "profiles" / "kubernetes"
    profile = yaml.safe_load((folder / "profile.yaml").read_text())
    driver = yaml.safe_load((folder / "driver.yaml").read_text())["spec"]["template"]["spec"]
    resources = list(yaml.safe_load_all((folder / "cluster.yaml").read_text()))
    claim, account = (
        next(item["metadata"]["name"] for item in resources if item["kind"] == kind)
        for kind in ("PersistentVolumeClaim", "ServiceAccount")
    )
    (volume,) = profile["kubernetes-persistent-volumes"]
    name, path = volume.split(":")
    assert (name, account) == (claim, profile["kubernetes-service-account-name"])
    assert driver["serviceAccountName"] == account
    assert driver["volumes"] == [{"name": name, "persistentVolumeClaim": {"claimName": name}}]
    for container in (*driver["containers"], *driver["initContainers"]):
        assert container["volumeMounts"] == [{"name": name, "mountPath": path}]
        assert container["image"] == profile["container-image"]
    assert profile["local-storage-prefix"] == profile["remote-job-local-storage-prefix"] == f"{path}/storage"
    s3 = yaml.safe_load((folder.parent / "s3" / "profile.yaml").read_text())
    for profile_with_storage in (profile, s3):
        assert profile_with_storage["keep-storage-local-copies"] is True
        assert re.fullmatch(r"s3://[\w-]+/\w+", profile_with_storage["default-storage-prefix"])
