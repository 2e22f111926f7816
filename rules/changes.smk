# What makes a job run again besides its settings: the content of the user's files, and keys of other sections.
from functools import cache

from cotrain.data.files import sha256_of


def decides_besides(wildcards):
    """What is not in a settings file, but decides jobs that read it and the checks before them.

    Where the checks run again, Snakemake overlooks that a job behind their `ancient` report has changed itself: its
    command, or its set of inputs. It does not if the job's settings are made again too. So each key that changes
    such a job is in one of its settings files, or here.
    """
    kind, _, rest = wildcards.settings.partition("/")
    device, mask, files = configuration.device, configuration.ego_vehicle_mask, []
    if kind == "datasets":
        dataset, _, part = rest.partition("/")
        files = files_of_images(configuration, dataset, part == "labelled")
        files += files_of_meaning(configuration, dataset) if part == "labelled" else []
        return contents_of(*files)
    if kind == "training":
        files = [plan.initial_file(BASELINE), *map(plan.backbone_file, plan.models)]
        return [device, *source_of_trainings(), *starts_of(rest), *sources_of_b(rest), *contents_of(*files)]
    if kind == "labelling":
        # The last cycle's models make the final labels.
        return [configuration.co_training.cycles] if rest == "final" else []
    if kind == "translation":
        return [configuration.seed, configuration.target]
    if kind == "source":
        return [configuration.seed, *source_of_trainings(), *sources_of_b("baseline_b")]
    if kind == "prediction":
        priors = configuration.self_training.class_priors
        return [device, mask, priors, *models_that_predict(), *contents_of(mask, priors)]
    if kind == "evaluation":
        section = configuration.evaluation
        choices = [*section.class_subsets, section.write_outputs, *models_that_predict()]
        return [device, mask, *choices, *contents_of(mask, *section.class_subsets)]
    return []


def source_of_trainings():
    """What says which images of the source trainings see, besides the keys of `translation`."""
    return [
        *configuration.source,
        configuration.translation.method,
        configuration.prediction.calibration_images,
    ]


def sources_of_b(name):
    """The sources that only branch b learns from, for settings of trainings that may be its own."""
    return configuration.co_training.source_b if name.startswith(("baseline_b", "co_training")) else []


def starts_of(name):
    """The keys that say what the trainings of a stage start from, and which images of the target they see."""
    if name == "baseline_b":
        return []
    if name == "upper_bound":
        return [configuration.target]
    section = getattr(configuration, {"co_training_b": "co_training"}.get(name, name))
    keys = ("initial_weights", "round_a", "round_b", "same_domain", "target_b")
    own = [getattr(section, key) for key in keys if hasattr(section, key)]
    if name.startswith("co_training"):
        # Where branch b loses its network, its trainings have other settings: those of branch a.
        own.append(configuration.co_training.network_b is None)
    return [*own, *([configuration.target] if section is configuration.final else [])]


def models_that_predict():
    """The keys that say which files of a model its predictions are made with."""
    return [configuration.prediction.weights, configuration.prediction.calibration_images]


# In a dry run, many settings ask for the same large file of weights.
hash_of_file = cache(sha256_of)


def contents_of(*files):
    """The hash of each of the user's files that is there.

    A copy may be older than what was made from another one (`cp -p`, `rsync -a`), so its time says nothing.
    """
    return [hash_of_file(path) for path in sorted(map(str, filter(None, files))) if os.path.isfile(path)]
