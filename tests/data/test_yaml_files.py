import pytest

from cotrain.data.yaml_files import line_of, read_yaml
from cotrain.errors import InputError

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: " + "[" * 3000, 2),
        ("a: 1\nb: " + "[" * 200_000 + "]" * 200_000, 2),
        ("a: 1\nb:\n  " + "- " * 3000, 3),
        (BOMB, 5),
        ("a: 1\nb: &x [*x]", 2),
        ("a: &x {b: 1}\nc: {<<: " + "[" + "*x, " * 100_000 + "*x]}", 2),
    ],
    ids=["open", "closed", "lists", "aliases", "in itself", "merged"],
)
def test_what_stands_for_too_much_is_refused_at_once(tmp_path, text, line):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"a\.yaml, line {line}: expected at most 50 levels"):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    "value",
    [
        "0x_",
        "!!int x",
        "!!float x",
        "!!bool x",
        "!!str {a: 1}",
        "!!map [x]",
        "!!map x",
        "{!!seq x: 1}",
        "!!seq {a: 1}",
    ],
)
def test_values_that_are_not_what_they_look_like_are_refused_with_their_line(tmp_path, value):
    (tmp_path / "a.yaml").write_text(f"a: 1\nb: {value}\n")
    with pytest.raises(InputError, match=r"a\.yaml, line 2: the value is not of the kind that its form or"):
        read_yaml(tmp_path / "a.yaml")


def fault(path, text):
    """Return what is said of a text, without the name of the file."""
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    name, message = str(caught.value).split(", ", 1)
    assert name == str(path)
    return message


def test_characters_that_yaml_forbids(tmp_path):
    assert fault(tmp_path / "a.yaml", "a: 1\nb: \x01") == (
        "line 2: not valid YAML: found the character U+0001, which YAML does not allow: remove it"
    )


def test_aliases_are_read(tmp_path):
    (tmp_path / "a.yaml").write_text("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n")
    assert read_yaml(tmp_path / "a.yaml") == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}


@pytest.mark.parametrize(
    "value",
    ["1" + "0" * 5000, "9223372036854775808", "-0x" + "f" * 5000, "0b" + "1" * 20_000, "1" + ":59" * 3000],
)
def test_integers_of_more_than_64_bit_are_refused_with_their_line(tmp_path, value):
    (tmp_path / "a.yaml").write_text(f"a: 1\nb: {value}\n")
    with pytest.raises(InputError, match=r"a\.yaml, line 2: found an integer of more than 64 bit"):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {b: 6, c: 1, b: 7}", "line 1: not valid YAML: the key 'b' is given twice"),
        ("a: {b: 6,\n  b: 7}", "line 2: not valid YAML: the key 'b' is given in line 1 already"),
        ("a: 1\nb:\n  - {c: 3, d: 4, c: 3}", "line 3: not valid YAML: the key 'c' is given twice"),
        ("a: 1\nb: 2\n'a': 3", "line 3: not valid YAML: the key 'a' is given in line 1 already"),
        ("{3: road, +3: car}", "line 1: not valid YAML: the key '+3' is given twice, as '3'"),
        ("{~: a, null: b}", "line 1: not valid YAML: the key 'null' is given twice, as '~'"),
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}", "line 2: not valid YAML: the key '<<' is given twice"),
        ("a: 1\n? [b]\n: 2", "line 2: found a list or a section as a key, expected text"),
    ],
)
def test_keys_that_cannot_be_or_are_given_twice(tmp_path, text, message):
    assert fault(tmp_path / "a.yaml", text) == message


def test_a_section_may_replace_what_it_takes_from_another(tmp_path):
    text = "a: &a {x: 1}\nc: {<<: &b {<<: *a,\n  x: 2}, y: 3}\nd: *b\n"
    (tmp_path / "a.yaml").write_text(text)
    assert read_yaml(tmp_path / "a.yaml") == {"a": {"x": 1}, "c": {"x": 2, "y": 3}, "d": {"x": 2}}


IN_QUOTES = "write text in quotes"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("012", f"found 012, which YAML takes for 10: {IN_QUOTES}, a number in plain digits"),
        ("0x10", f"found 0x10, which YAML takes for 16: {IN_QUOTES}, a number in plain digits"),
        ("0b11", f"found 0b11, which YAML takes for 3: {IN_QUOTES}, a number in plain digits"),
        ("1:30", f"found 1:30, which YAML takes for 90: {IN_QUOTES}, a number in plain digits"),
        ("1_000", f"found 1_000, which YAML takes for 1000: {IN_QUOTES}, a number in plain digits"),
        ("1_0.5", f"found 1_0.5, which YAML takes for 10.5: {IN_QUOTES}, a number in plain digits"),
        ("2026-01-01", f"found 2026-01-01, which YAML takes for a date: {IN_QUOTES}"),
        ("2001-99-99", f"found 2001-99-99, which YAML takes for a date: {IN_QUOTES}"),
        ("[=]", f"found =, which YAML takes for a sign of its own: {IN_QUOTES}"),
        ("!!set {x}", "found the tag !!set, expected a value without a tag"),
        ("!!python/tuple [1]", "found the tag !!python/tuple, expected a value without a tag"),
        ("!mine x", "found the tag !mine, expected a value without a tag"),
        ("{<<: x}", "found no section behind <<, expected an alias of one"),
    ],
)
def test_what_yaml_takes_for_something_else_is_refused(tmp_path, value, message):
    assert fault(tmp_path / "a.yaml", f"a: 1\nb: {value}\n") == f"line 2: {message}"
    if not value.startswith(("{", "[", "!")):
        assert fault(tmp_path / "a.yaml", f"a: 1\n{value}: b\n") == f"line 2: {message}"
        (tmp_path / "a.yaml").write_text(f"a: '{value}'\nb: |-\n  {value}\n")
        assert read_yaml(tmp_path / "a.yaml") == {"a": value, "b": value}


def test_plain_numbers_and_words_stay(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "[0, -5, +3, 9223372036854775807, 1.5, .5, 1.0e-3, 089, 1e-3, true, no, null]"
    )
    assert read_yaml(tmp_path / "a.yaml") == [
        *[0, -5, 3, 9223372036854775807, 1.5, 0.5, 0.001, "089", "1e-3", True, False, None]
    ]


OPEN_QUOTE = "found a quote that is not closed, expected the same quote at the end of the text"
BEHIND_QUOTE = "write quotes around the whole text; within single quotes, a quote is written twice"
INDENTATION = "found an indentation that no line above has, expected the keys of a section in one column"
ESCAPE = "write the text in single quotes, or a path with /"
BEFORE = "without a space behind the colon, expected 'key: value'"
DOCUMENTS = "found a second document, expected one: remove the lines '---' and '...'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: 1\n", "line 2: found a tab, expected spaces"),
        ("a:\n  b: 1\n\tc: 2\n", "line 3: found a tab, expected spaces"),
        ("a: |\n\tx\n", "line 2: found a tab, expected spaces"),
        ("run:tiny\na: 1\n", f"line 1: found 'run:tiny' {BEFORE}"),
        ("a: 1\nseed:3\nb: 2\n", f"line 2: found 'seed:3' {BEFORE}"),
        ("t:\n  seed:3\n\n  b:4\n  c: 1\n", f"line 2: found 'seed:3' {BEFORE}"),
        ("a: 1\nb:2\n", f"line 2: found 'b:2' {BEFORE}"),
        ("a: 1\nsource [src]\nb: 2\n", "line 2: found 'source [src]' without a colon, expected 'key: value'"),
        ("source [src]\nb: 2\n", "line 1: found 'source [src]' without a colon, expected 'key: value'"),
        ("run: 'tiny\na: 1\nb: 2\n", f"line 1: {OPEN_QUOTE}"),
        ("a: 1\nrun: 'tiny\nb: 1\nc: 'x'\n", f"line 2: {OPEN_QUOTE}"),
        ('a: 1\nrun: "tiny\nb: 1\nc: "x"\n', f"line 2: {OPEN_QUOTE}"),
        ("a: 'x\n---\nb: 2\n", f"line 1: {OPEN_QUOTE}"),
        ("a: 'x' y\n", f"line 1: found 'y' behind a closing quote: {BEHIND_QUOTE}"),
        ("a: 1\nb: 'it's'\n", f'line 2: found "s\'" behind a closing quote: {BEHIND_QUOTE}'),
        ("a: [1,\n", "line 2: found the end of the text, expected a value, or what closes a bracket"),
        ("a: [1,\nb: 2\n", "line 1: found [ that is not closed, expected ]"),
        (
            "a: {b: 1\nc: 2\n",
            "line 1: found { that is not closed, or a comma is missing before line 2, column 2: expected "
            "} or a "
            "comma",
        ),
        ("a: 1\nb: {c: 1 d: 2}\n", "line 2: found ': 2}', expected a comma or }"),
        ("a: [1]]\n", "line 1: found ] without the bracket that it closes"),
        ("t:\n    a: 1\n  b: 2\n", f"line 3: {INDENTATION}"),
        (" a: 1\nb: 2\n", f"line 2: {INDENTATION}"),
        (
            "# c\nt: 1\n\n  a: 1\n",
            "line 4: found a key that is indented more than line 2, which holds a value already: "
            "expected both "
            "in one column",
        ),
        (
            "t:\n  - a\n  b: 1\n",
            "line 3: found 'b: 1', expected an item of the list above, which begins with '- '",
        ),
        ("a: 1\n- b\n", "line 2: found '- b', expected 'key: value' like the lines above"),
        (
            "t: - a\n",
            "line 1: found '- ' behind a key, expected each item in a line of its own, or the items in "
            "brackets: "
            "[a, b]",
        ),
        ("a: b: c\n", "line 1: found a second colon in one line: write a value that holds a colon in quotes"),
        (
            "C:\\data\na: 1\n",
            r"line 1: found 'C:\data' without a space behind the colon, expected 'key: value'",
        ),
        ("a: @x\n", "line 1: found '@x': write text that begins with @ in quotes"),
        ("a: 1\nb: [*.png]\n", "line 2: found '*.png]': write text that begins with * in quotes"),
        ("a: 1\nb: *png\n", "line 2: found '*png': write text that begins with * in quotes"),
        ("a: &x 1\nb: &x 2\n", "line 2: found '&x' a second time, expected another name"),
        (
            'a: "C:\\data"\n',
            f"line 1: found \\d in double quotes, where \\ has a meaning of its own: {ESCAPE}",
        ),
        ('a: "\\xzz"\n', f"line 1: found \\x in double quotes, where \\ has a meaning of its own: {ESCAPE}"),
        ("a: 1\n---\nb: 2\n", f"line 2: {DOCUMENTS}"),
        ("a: 1\n...\nb: 2\n", f"line 3: {DOCUMENTS}"),
        ("%YAML 3.0\n---\na: 1\n", "line 1: found '%YAML 3.0', expected no line that begins with %"),
        ("a: [,1]\n", "line 1: found ',1]', expected 'key: value' or a value"),
        (
            f"{'x' * 1100}: 2\n",
            f"line 1: found '{'x' * 40}…', expected a key of at most 1,000 characters in one line",
        ),
        # A line ends there too.
        ("a: x\u2028b:\n\tc: 1\n", "line 3: found a tab, expected spaces"),
    ],
)
def test_wrong_syntax_is_told_in_our_words_at_its_line(tmp_path, text, message):
    place, words = message.split(": ", 1)
    assert fault(tmp_path / "a.yaml", text) == f"{place}: not valid YAML: {words}"


def test_lines_of_values(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("# c\nids:\n  7: road\n  8: null\nlist:\n  - {a: 1}\n  - b: 2\n    c: 3\n")
    assert [line_of(path, "ids"), line_of(path, "ids", 8), line_of(path, "list", 1, "c")] == [2, 4, 8]
    assert [line_of(path), line_of(path, "ids", 9), line_of(path, "list", 2)] == [1, 2, 5]
