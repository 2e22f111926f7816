import pytest

from cotrain.data.yaml_files import read_yaml
from cotrain.errors import InputError

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: " + "[" * 3000, 2),
        ("a: 1\nb: " + "[" * 200_000 + "]" * 200_000, 2),
        ("a: 1\nb: " + "- " * 3000, 2),
        (BOMB, 5),
        ("a: 1\nb: &x [*x]", 2),
        ("a: &x {b: 1}\nc: {<<: " + "[" + "*x, " * 100_000 + "*x]}", 2),
    ],
    ids=["open", "closed", "lists", "aliases", "in itself", "merged"],
)
def test_what_stands_for_too_much_is_refused_at_once(tmp_path, text, line):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"a\.yaml, line {line}: not valid YAML"):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    "value",
    ["2001-99-99", "!!int x", "!!float x", "!!bool x", "!!timestamp x", "1" + "0" * 5000],
)
def test_values_that_are_not_what_they_look_like_are_refused_with_their_line(tmp_path, value):
    (tmp_path / "a.yaml").write_text(f"a: 1\nb: {value}\n")
    with pytest.raises(InputError, match=r"a\.yaml, line 2: not valid YAML: the value is not of the kind"):
        read_yaml(tmp_path / "a.yaml")


def test_characters_that_yaml_forbids(tmp_path):
    (tmp_path / "a.yaml").write_text("a: \x01")
    with pytest.raises(InputError, match=r"a\.yaml.*: not valid YAML: .*character"):
        read_yaml(tmp_path / "a.yaml")


def test_aliases_are_read(tmp_path):
    (tmp_path / "a.yaml").write_text("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n")
    assert read_yaml(tmp_path / "a.yaml") == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}


@pytest.mark.parametrize(
    "value", ["1" + "0" * 309, "-0x" + "f" * 5000, "0b" + "1" * 20_000, "1" + ":59" * 3000]
)
def test_integers_of_more_than_64_bit_are_refused_with_their_line(tmp_path, value):
    (tmp_path / "a.yaml").write_text(f"a: 1\nb: {value}\n")
    with pytest.raises(
        InputError, match=r"a\.yaml, line 2: not valid YAML: found an integer of more than 64 bit"
    ):
        read_yaml(tmp_path / "a.yaml")
