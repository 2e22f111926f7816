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
    for name in ("requirements.txt", "requirements-export.txt", "requirements-development.txt"):
        assert pins(name)
        assert all(line.count("==") == 1 for line in pins(name))


def test_no_index_address_is_in_any_file():
    for path in ENVIRONMENTS.iterdir():
        assert "://" not in path.read_text()
