"""What a configuration comes to, and the advice on it, as text for a terminal."""

from cotrain.configuration.advice import advice, summary
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.sections import Configuration, FilesSettings, StreetsSettings
from cotrain.data.images import image_size
from cotrain.data.layouts import dataset_entries


def overview(configuration: Configuration) -> str:
    """Return what the run comes to, and the advice; opens only the header of one image."""
    images, sizes = {}, {}
    for name in RunPlan(configuration).datasets:
        settings = configuration.datasets[name]
        if isinstance(settings, StreetsSettings):
            images[name], sizes[name] = settings.images, (settings.height, settings.width)
            continue
        entries = dataset_entries(name, settings, labelled=False)
        assert isinstance(settings, FilesSettings)
        images[name] = -(-len(entries) // settings.every)
        if name == configuration.target:
            width, height = image_size(entries[0].image)
            sizes[name] = height, width
    found = advice(configuration, images, sizes[configuration.target])
    text = "".join(f"- {line}\n" for line in found) if found else "Nothing looks unintended.\n"
    return f"{summary(configuration, images)}\n\n{text}"
