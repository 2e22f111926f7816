"""What is wrong with the text of a YAML file, in words: the line at fault, what is there and what to do."""

import re

import yaml

from cotrain.errors import beginning_of

# The parser says where it stops, and where what it reads there begins.
Place = tuple[int, int]

NOT_VALID = "not valid YAML: "
OPEN_QUOTE = "found a quote that is not closed, expected the same quote at the end of the text"
TAB = "found a tab, expected spaces"
SECOND_DOCUMENT = "found a second document, expected one: remove the lines '---' and '...'"
# `key:value`, also as an item of a list.
WITHOUT_SPACE = re.compile(r"(?:- +)*[\w.-]+:[^\s:]")
# To YAML, these end a line.
LINE_END = re.compile("[\n\x85\u2028\u2029]")
COLON = re.compile(r":(?:\s|$)")


class YamlFault(Exception):  # noqa: N818
    """Something in a YAML file that is not taken; `line` counts from 1."""

    def __init__(self, line: int, words: str) -> None:
        super().__init__(words)
        self.line = line


def fault_of_syntax(error: yaml.MarkedYAMLError, text: str) -> YamlFault:
    """Return where the syntax of a text most likely is wrong, and how; `error` is what the parser says."""
    line, words = _fault(error, text)
    return YamlFault(line + 1, f"{NOT_VALID}{words}")


def fault_of_character(text: str) -> YamlFault:
    """Return where a text has a character that YAML does not allow."""
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    line = text.count("\n", 0, found.start()) if found else 0
    code = f" U+{ord(found[0]):04X}" if found else ""
    return YamlFault(line + 1, f"{NOT_VALID}found the character{code}, which YAML does not allow: remove it")


def _fault(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """Return the line, counted from 0, and the words."""
    # A parser that stops at the end of the text is behind its last line.
    lines = [*LINE_END.split(text), ""]
    mark, begun = error.problem_mark, error.context_mark
    stop: Place = (mark.line, mark.column) if mark else (0, 0)
    start: Place = (begun.line, begun.column) if begun else stop
    problem, own = error.problem or "", lines[stop[0]]
    rest, indentation = own[stop[1] :], own[: len(own) - len(own.lstrip())]
    if "quoted scalar" in (error.context or "") and problem.startswith("found unexpected"):
        return start[0], OPEN_QUOTE
    quotes = _quoted(text)
    for first, last in quotes:
        # It was closed by the quote that opens another text.
        if first[0] < last[0] == stop[0]:
            return first[0], OPEN_QUOTE
    if "\t" in indentation or rest.startswith("\t") or "found a tab" in problem:
        return stop[0], TAB
    if problem == "could not find expected ':'":
        return start[0], _without_colon(lines[start[0]])
    if problem.startswith("mapping values"):
        return _unexpected_colon(lines, stop)
    if "',' or '" in problem:
        return _open_bracket(lines, start, stop)
    if "escape character" in problem or "hexdecimal" in problem:
        at = own.rfind("\\", 0, stop[1] + 1)
        return stop[0], (
            f"found {own[at : at + 2]} in double quotes, where \\ has a meaning of its own: write the "
            f"text in single "
            "quotes, or a path with /"
        )
    if problem == "second occurrence":
        return stop[0], f"found {_word(rest)} a second time, expected another name"
    beginning = lines[start[0]][start[1] :]
    if beginning[:1] in ("*", "&", "!"):
        return start[0], f"found {_word(beginning)}: write text that begins with {beginning[0]} in quotes"
    if "cannot start any token" in problem:
        return stop[0], f"found {_shown(rest)}: write text that begins with {rest[:1]} in quotes"
    if "block sequence entries" in problem:
        return stop[0], (
            "found '- ' behind a key, expected each item in a line of its own, or the items in brackets: "
            "[a, b]"
        )
    if "another document" in problem or any(line.startswith("...") for line in lines[: stop[0]]):
        return stop[0], SECOND_DOCUMENT
    if "node content" in problem and not "\n".join(lines[stop[0] :])[stop[1] :].strip():
        return stop[0], "found the end of the text, expected a value, or what closes a bracket"
    if own.startswith("%"):
        return stop[0], f"found {_shown(own)}, expected no line that begins with %"
    if rest[:1] in ("]", "}"):
        return stop[0], f"found {rest[0]} without the bracket that it closes"
    if any(last[0] == stop[0] and last[1] <= stop[1] for _, last in quotes):
        return stop[0], (
            f"found {_shown(rest)} behind a closing quote: write quotes around the whole text; within single "
            "quotes, a quote is written twice"
        )
    if stop[1] == len(indentation) and rest and not rest.startswith(":"):
        if "'-' indicator" in problem:
            return stop[
                0
            ], f"found {_shown(rest)}, expected an item of the list above, which begins with '- '"
        if rest.startswith("- "):
            return stop[0], f"found {_shown(rest)}, expected 'key: value' like the lines above"
        return stop[0], (
            "found an indentation that no line above has, expected the keys of a section in one column"
        )
    found = _shown(rest) if rest.strip() else "the end of the line"
    return stop[0], f"found {found}, expected 'key: value' or a value"


def _without_colon(line: str) -> str:
    """Return what is wrong with a line that was to be a key."""
    if COLON.search(line):
        return f"found {_shown(line)}, expected a key of at most 1,000 characters in one line"
    if WITHOUT_SPACE.match(line.strip()):
        return f"found {_shown(line)} without a space behind the colon, expected 'key: value'"
    return f"found {_shown(line)} without a colon, expected 'key: value'"


def _unexpected_colon(lines: list[str], stop: Place) -> tuple[int, str]:
    """Return what is wrong where a key stands in what is a value so far."""
    own = lines[stop[0]]
    if COLON.search(own[: stop[1]]):
        return stop[0], "found a second colon in one line: write a value that holds a colon in quotes"
    # Text goes on over lines: the first that is no key, or a value that keys are indented below.
    first = stop[0]
    above = [number for number in range(stop[0]) if lines[number].split("#")[0].strip()]
    for number in reversed(above):
        if COLON.search(lines[number]):
            break
        first = number
    if first < stop[0]:
        return first, _without_colon(lines[first])
    if not above:
        return stop[0], _without_colon(own)
    return stop[0], (
        f"found a key that is indented more than line {above[-1] + 1}, which holds a value already: "
        f"expected both in "
        "one column"
    )


def _open_bracket(lines: list[str], start: Place, stop: Place) -> tuple[int, str]:
    """Return what is wrong where brackets of which one is open can neither go on nor end."""
    bracket = lines[start[0]][start[1]]
    closing = {"[": "]", "{": "}"}[bracket]
    if not "\n".join(lines[stop[0] :])[stop[1] :].strip():
        return start[0], f"found {bracket} that is not closed, expected {closing}"
    if stop[0] > start[0]:
        return start[0], (
            f"found {bracket} that is not closed, or a comma is missing before line {stop[0] + 1}, column "
            f"{stop[1] + 1}: expected {closing} or a comma"
        )
    return stop[0], f"found {_shown(lines[stop[0]][stop[1] :])}, expected a comma or {closing}"


def _quoted(text: str) -> list[tuple[Place, Place]]:
    """Return where texts in quotes begin and end, up to where the text cannot be read on."""
    found = []
    try:
        for token in yaml.scan(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(token, yaml.ScalarToken) and token.style in ("'", '"'):
                marks = token.start_mark, token.end_mark
                found.append(((marks[0].line, marks[0].column), (marks[1].line, marks[1].column)))
    except yaml.YAMLError:
        pass
    return found


def _word(text: str) -> str:
    return _shown(text.split()[0])


def _shown(text: str) -> str:
    return beginning_of(text.strip())
