import re

import pytest

from cotrain.configuration.names import (
    IMAGE_SET_PATTERN,
    LABELLING_PATTERN,
    MODEL_PATTERN,
    ImageSet,
    Labelling,
    ModelName,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("baseline", ("baseline", None, None)),
        ("self_training/03", ("self_training", 3, None)),
        ("co_training/12/b", ("co_training", 12, "b")),
        ("final", ("final", None, None)),
        ("upper_bound", ("upper_bound", None, None)),
    ],
)
def test_names_of_models(text, parts):
    model = ModelName.parse(text)
    assert (model.stage, model.number, model.branch) == parts
    assert str(model) == text
    assert re.fullmatch(MODEL_PATTERN, text)


@pytest.mark.parametrize(
    "text",
    ["", "baseline/00", "self_training", "self_training/3", "co_training/00", "co_training/00/c", "Final"],
)
def test_other_names_are_no_models(text):
    with pytest.raises(ValueError, match=re.escape(f"{text!r} is not the name of a model")):
        ModelName.parse(text)


def test_the_step_before():
    assert str(ModelName.parse("co_training/02/a").before()) == "co_training/01/a"
    assert str(ModelName.parse("self_training/10").before()) == "self_training/09"


@pytest.mark.parametrize(
    ("text", "image_set"),
    [
        ("target", ImageSet("target")),
        ("accumulated", ImageSet("accumulated")),
        ("labelled/camera_test", ImageSet("labelled", dataset="camera_test")),
        ("subset/self_training/00", ImageSet("subset", step=ModelName("self_training", 0))),
        ("subset/co_training/01/b", ImageSet("subset", step=ModelName("co_training", 1, "b"))),
    ],
)
def test_names_of_image_sets(text, image_set):
    assert ImageSet.parse(text) == image_set
    assert str(image_set) == text
    assert re.fullmatch(IMAGE_SET_PATTERN, text)


@pytest.mark.parametrize(
    ("text", "labelling"),
    [
        ("self_training/02", Labelling(ModelName("self_training", 2))),
        ("self_training/02/relabelled", Labelling(ModelName("self_training", 2), is_relabelling=True)),
        ("co_training/00/a/relabelled", Labelling(ModelName("co_training", 0, "a"), is_relabelling=True)),
        ("ensemble/b", Labelling(ensemble_branch="b")),
    ],
)
def test_names_of_labellings(text, labelling):
    assert Labelling.parse(text) == labelling
    assert str(labelling) == text
    assert re.fullmatch(LABELLING_PATTERN, text)


@pytest.mark.parametrize("kind", [ImageSet, Labelling])
@pytest.mark.parametrize("text", ["", "baseline", "subset/final", "ensemble", "ensemble/c", "labelled/a b"])
def test_other_texts_are_refused(kind, text):
    with pytest.raises(ValueError, match="is not the name of a"):
        kind.parse(text)
