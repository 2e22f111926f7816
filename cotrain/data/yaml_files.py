"""YAML files, read quickly and strictly.

A key that is given twice is refused: YAML itself would forget the first. So is what YAML takes for another
value than is written: 010 for 8, 1:30 for 90, and dates.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from cotrain.data.yaml_faults import NOT_VALID, YamlFault, fault_of_character, fault_of_syntax
from cotrain.errors import InputError, reason
from cotrain.words import LARGEST_INTEGER

# Far more than anybody writes. Deeper nesting would end the parser in a segmentation fault, and a few aliases
# of aliases can stand for more values than a memory holds.
MOST_LEVELS = 50
MOST_VALUES = 100_000

STANDARD = "tag:yaml.org,2002:"
MERGE = f"{STANDARD}merge"
# What JSON has too.
KINDS = {f"{STANDARD}{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map")}
# Beside them, what plain text can look like.
FORMS = {f"{STANDARD}timestamp": "a date", f"{STANDARD}value": "a sign of its own"}
OF_ANOTHER_KIND = "the value is not of the kind that its form or its tag says"
HUGE = "found an integer of more than 64 bit"
PLAIN_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")


class _Strict(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The fast parser where there is one; it makes nothing but plain data."""

    def construct_document(self, node: yaml.Node) -> Any:
        self._check(node, set())
        return super().construct_document(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (YamlFault, yaml.YAMLError, RecursionError):
            raise
        # For values that do not fit their forms or tags it raises all kinds of errors.
        except Exception as error:
            raise _fault(node, OF_ANOTHER_KIND) from error

    def _check(self, node: yaml.Node, seen: set[int]) -> None:
        """Raise YamlFault for what is not taken; `seen` are the nodes that are checked already."""
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            self._check_scalar(node)
        elif node.tag not in KINDS:
            raise _unknown_tag(node)
        elif isinstance(node, yaml.MappingNode):
            self._check_keys(node)
            for key, value in node.value:
                if key.tag == MERGE:
                    _check_merged(value)
                self._check(value, seen)
        else:
            for item in node.value:
                self._check(item, seen)

    def _check_keys(self, node: yaml.MappingNode) -> None:
        """Raise YamlFault for keys that are no plain values, and for one that is given twice."""
        given: dict[Any, yaml.ScalarNode] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault(key, "found a list or a section as a key, expected text")
            if key.tag != MERGE:
                self._check_scalar(key)
            # Written in another way it is the same key: 1 and +1, a and "a".
            first = given.setdefault(MERGE if key.tag == MERGE else self.construct_object(key), key)
            if first is not key:
                line = first.start_mark.line
                place = "twice" if line == key.start_mark.line else f"in line {line + 1} already"
                also = "" if first.value == key.value else f", as {first.value!r}"
                raise _fault(key, f"{NOT_VALID}the key {key.value!r} is given {place}{also}")

    def _check_scalar(self, node: yaml.ScalarNode) -> None:
        """Raise YamlFault for what YAML takes for another value than is written."""
        kind, text = node.tag.removeprefix(STANDARD), node.value
        if kind in ("seq", "map"):
            raise _fault(node, OF_ANOTHER_KIND)
        if node.style:
            # In quotes, or in lines of its own.
            return
        if node.tag in FORMS:
            taken = FORMS[node.tag]
        elif node.tag not in KINDS:
            raise _unknown_tag(node)
        elif kind == "int" and PLAIN_INTEGER.fullmatch(text):
            # Not int(text) at once: Python refuses thousands of digits.
            if len(text) > 20 or abs(int(text)) > LARGEST_INTEGER:
                raise _fault(node, HUGE)
            return
        elif kind == "int" or (kind == "float" and re.search("[_:]", text)):
            value = self.construct_object(node)
            if abs(value) > LARGEST_INTEGER:
                raise _fault(node, HUGE)
            taken = str(value)
        else:
            return
        number = "" if node.tag in FORMS else ", a number in plain digits"
        raise _fault(node, f"found {text}, which YAML takes for {taken}: write text in quotes{number}")


def _check_merged(value: yaml.Node) -> None:
    parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
    if not all(isinstance(part, yaml.MappingNode) for part in parts):
        raise _fault(value, "found no section behind <<, expected an alias of one")


def _unknown_tag(node: yaml.Node) -> YamlFault:
    return _fault(node, f"found the tag {node.tag.replace(STANDARD, '!!')}, expected a value without a tag")


def _fault(node: yaml.Node, words: str) -> YamlFault:
    return YamlFault(node.start_mark.line + 1, words)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file, None for an empty one.

    Raises InputError that names the file and, for bad YAML, the line.
    """
    text = _text_of(path)
    try:
        _check_extent(text)
        return yaml.load(text, Loader=_Strict)
    except yaml.reader.ReaderError:
        fault = fault_of_character(text)
    except yaml.constructor.ConstructorError as error:
        fault = YamlFault(error.problem_mark.line + 1 if error.problem_mark else 1, OF_ANOTHER_KIND)
    except yaml.MarkedYAMLError as error:
        fault = fault_of_syntax(error, text)
    except YamlFault as error:
        fault = error
    raise InputError(f"{path}, line {fault.line}: {fault}")


def line_of(path: Path, *keys: Any) -> int:
    """Return the line, from 1, in which a YAML file that can be read has the value below these keys.

    Of a value that is not there it is the line of what should hold it.
    """
    loader = _Strict(_text_of(path))
    node, line = loader.get_single_node(), 0
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if loader.construct_object(pair[0]) == key]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            found = [(node.value[key], node.value[key])]
        else:
            found = []
        if not found:
            break
        line, node = found[0][0].start_mark.line, found[0][1]
    return line + 1


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from error


def _check_extent(text: str) -> None:
    """Raise YamlFault for text that is nested too deeply or stands for too many values.

    The events of the parser say so before anything is made from them.
    """
    sizes: dict[str, int] = {}
    # The anchor of each open collection, and the values in it so far.
    open_ones: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=_Strict):
        if isinstance(event, yaml.CollectionStartEvent):
            open_ones.append((event.anchor, 1))
            size = 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_ones.pop()
            if anchor:
                sizes[anchor] = size
        elif isinstance(event, yaml.AliasEvent):
            # Within itself it stands for values without end.
            is_open = any(anchor == event.anchor for anchor, _ in open_ones)
            size = MOST_VALUES + 1 if is_open else sizes.get(event.anchor or "", 1)
        else:
            size = int(isinstance(event, yaml.ScalarEvent))
        anchor, total = open_ones[-1]
        open_ones[-1] = (anchor, total + size)
        if len(open_ones) > MOST_LEVELS or total + size > MOST_VALUES:
            raise YamlFault(
                event.start_mark.line + 1 if event.start_mark else 1,
                f"expected at most {MOST_LEVELS} levels and {MOST_VALUES:,} values, aliases written out",
            )
