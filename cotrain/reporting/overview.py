"""What a configuration comes to, and the advice on it, as text for a terminal."""

from typing import NamedTuple

from cotrain.configuration.advice import advice, summary
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.sections import Configuration, FilesSettings, StreetsSettings
from cotrain.data.images import image_size
from cotrain.data.layouts import dataset_entries


class Counted(NamedTuple):
    """Images of each dataset of a run, before its filters, and the (height, width) of its first one."""

    images: dict[str, int]
    sizes: dict[str, tuple[int, int]]


def counted(configuration: Configuration) -> Counted:
    """Count the images of a run; of each dataset, only the header of the first image is read.

    Raises:
        InputError: a list, a folder or a first image cannot be read.
    """
    images, sizes = {}, {}
    for name in RunPlan(configuration).datasets:
        settings = configuration.datasets[name]
        if isinstance(settings, StreetsSettings):
            images[name], sizes[name] = settings.images, (settings.height, settings.width)
        else:
            assert isinstance(settings, FilesSettings)
            entries = dataset_entries(name, settings, labelled=False)
            width, height = image_size(entries[0].image)
            images[name], sizes[name] = -(-len(entries) // settings.every), (height, width)
    return Counted(images, sizes)


def notes_on(configuration: Configuration, found: Counted) -> list[str]:
    """Return the advice on a configuration with these images, a sentence each."""
    return advice(configuration, found.images, found.sizes[configuration.target])


def overview(configuration: Configuration) -> str:
    """Return what the run comes to, and the advice."""
    found = counted(configuration)
    lines = notes_on(configuration, found)
    text = (
        "".join(f"- {line}\n" for line in lines)
        if lines
        else "Nothing in the configuration looks unintended.\n"
    )
    return f"{summary(configuration, found.images)}\n\n{text}"
