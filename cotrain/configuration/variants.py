"""Sections whose keys depend on one of them: a network on its name, a dataset on its layout."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from cotrain.configuration.sections import (
    DatasetSettings,
    DeepLabV3PlusSettings,
    ListsSettings,
    NetworkSettings,
    OwnNetworkSettings,
    PlainTransformerSettings,
    PublishedSettings,
    Section,
    StreetsSettings,
)

Settings = TypeVar("Settings")


class Variants(NamedTuple):
    """The classes of a section; the value of `key` says which of them it is.

    Values beyond those of `by_value` stand for `others` if `takes_others` says so; documents call them
    `others_in_words`. `default` is the value of a missing key.
    """

    key: str
    default: str | None
    by_value: dict[str, type[Section]]
    others: type[Section]
    others_in_words: str
    takes_others: Callable[[str], bool]

    def class_of(self, entry: dict[str, Any]) -> type[Section] | None:
        """Return the class of the mapping `entry`, None when its key has no value that is known."""
        value = entry.get(self.key, self.default)
        if not isinstance(value, str):
            return None
        return self.by_value.get(value) or (self.others if self.takes_others(value) else None)


def _is_import_path(name: str) -> bool:
    return ":" in name


def _is_tree_layout(layout: str) -> bool:
    from cotrain.data.label_spaces import YAML_SUFFIXES
    from cotrain.data.trees import tree_layout_names

    return layout.endswith(YAML_SUFFIXES) or layout in tree_layout_names()


NETWORKS = Variants(
    key="name",
    default="deeplabv3plus",
    by_value={"deeplabv3plus": DeepLabV3PlusSettings, "plain_transformer": PlainTransformerSettings},
    others=OwnNetworkSettings,
    others_in_words="package.module:factory",
    takes_others=_is_import_path,
)
DATASETS = Variants(
    key="layout",
    default=None,
    by_value={"streets": StreetsSettings, "lists": ListsSettings},
    others=PublishedSettings,
    others_in_words="any other",
    takes_others=_is_tree_layout,
)


def variants_of(kind: Any) -> Variants | None:
    """Return the variants of a type that has some."""
    return {NetworkSettings: NETWORKS, DatasetSettings: DATASETS}.get(kind)


def convert(content: Any, kind: type[Settings]) -> Settings:
    """Return JSON types as an object of `kind`; msgspec.ValidationError if they do not fit."""
    return msgspec.convert(content, kind, dec_hook=_converted_variant)


def _converted_variant(kind: type, content: Any) -> Any:
    """Convert what msgspec cannot: a section with variants."""
    variants = variants_of(kind)
    assert variants is not None, kind
    section = variants.class_of(content) if isinstance(content, dict) else None
    if section is None:
        raise ValueError(f"no variant of {kind.__name__}")
    return convert(content, section)
