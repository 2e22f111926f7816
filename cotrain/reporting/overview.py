"""What a configuration comes to, and the advice on it, as text for a terminal."""

from typing import NamedTuple

from cotrain.configuration.advice import advice, summary
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.sections import Configuration, FilesSettings, StreetsSettings
from cotrain.data.images import image_size
from cotrain.data.layouts import dataset_entries


class Counted(NamedTuple):
    """Images of each dataset of a run, before its filters, and the (height, width) of one of the target."""

    images: dict[str, int]
    size: tuple[int, int]


def counted(configuration: Configuration) -> Counted:
    """Count the images of a run; only the header of one is read. InputError for lists that cannot be read."""
    images, size = {}, (0, 0)
    for name in RunPlan(configuration).datasets:
        settings = configuration.datasets[name]
        if isinstance(settings, StreetsSettings):
            images[name], found = settings.images, (settings.height, settings.width)
        else:
            assert isinstance(settings, FilesSettings)
            entries = dataset_entries(name, settings, labelled=False)
            images[name], found = -(-len(entries) // settings.every), (0, 0)
            if name == configuration.target:
                width, height = image_size(entries[0].image)
                found = height, width
        if name == configuration.target:
            size = found
    return Counted(images, size)


def notes_on(configuration: Configuration) -> list[str]:
    """Return the advice on a configuration, a sentence each."""
    return advice(configuration, *counted(configuration))


def overview(configuration: Configuration) -> str:
    """Return what the run comes to, and the advice."""
    found = counted(configuration)
    lines = advice(configuration, *found)
    text = (
        "".join(f"- {line}\n" for line in lines)
        if lines
        else "Nothing in the configuration looks unintended.\n"
    )
    return f"{summary(configuration, found.images)}\n\n{text}"
