import json

import pytest

from cotrain.errors import reason


def raised(action):
    try:
        action()
    except Exception as error:
        return reason(error)
    pytest.fail("nothing was raised")


def test_reasons_hold_no_text_of_python():
    assert raised(lambda: open("/nowhere/at all")) == "No such file or directory"  # noqa: SIM115
    assert raised(lambda: b"\xff".decode()) == "it is not UTF-8 text"
    assert raised(lambda: json.loads("{\n1")) == (
        "line 2 is not valid JSON: found '1', expected a key in double quotes"
    )
    assert raised(lambda: {}["portion"]) == "it lacks 'portion'"
    other = "it is damaged, or its content is of another kind"
    assert raised(lambda: {}["a text of a library"]) == other
    assert raised(lambda: {}[()]) == other
    assert raised(lambda: [][0]) == other
    assert reason(OSError("text of a library")) == other
    assert reason(OSError(2, "text of a library")) == "No such file or directory"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "it is empty"),
        ('{"a": 1,\n', "line 2 is not valid JSON: found the end of the file before all brackets are closed"),
        ("{'a': 1}", "line 1 is not valid JSON: found \"'a': 1}\", expected a key in double quotes"),
        (
            '{"a": 1\n"b": 2}',
            "line 2 is not valid JSON: found '\"b\": 2}', expected a comma or a closing bracket",
        ),
        ('{"a" 1}', "line 1 is not valid JSON: found '1}', expected a colon"),
        (
            '{"a": yes}',
            "line 1 is not valid JSON: found 'yes}', expected a value: text in double quotes, a number, "
            "true, "
            "false, null, a list or a section",
        ),
        ('{"a": "x}', "line 1 is not valid JSON: found a quote that is not closed in the same line"),
        ('{"a": "x\ny"}', "line 1 is not valid JSON: found a quote that is not closed in the same line"),
        (r'{"a": "C:\d"}', r"""line 1 is not valid JSON: found '\d"}', expected \\ for a \ in quotes"""),
        ('{"a": 1}\n{}', "line 2 is not valid JSON: found '{}', expected the end of the file"),
        (
            "\ufeff{}",
            "line 1 is not valid JSON: found '\\ufeff{}', expected a file without a byte order mark",
        ),
    ],
)
def test_what_is_wrong_with_json_is_told_in_our_words(text, fault):
    assert raised(lambda: json.loads(text)) == fault
