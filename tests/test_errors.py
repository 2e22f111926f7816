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
    assert raised(lambda: json.loads("{\n1")) == "line 2 is not valid JSON"
    assert raised(lambda: {}["portion"]) == "it lacks 'portion'"
    other = "it is damaged, or its content is of another kind"
    assert raised(lambda: {}["a text of a library"]) == other
    assert raised(lambda: {}[()]) == other
    assert raised(lambda: [][0]) == other
    assert reason(OSError("text of a library")) == other
    assert reason(OSError(2, "text of a library")) == "No such file or directory"
