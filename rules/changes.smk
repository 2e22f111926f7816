# What makes jobs run again though no setting has changed: another content of the user's files.
from functools import cache

from cotrain.data.files import sha256_of


def contents_besides(wildcards):
    """The hashes of the user's files that jobs with these settings read.

    A copy may be older than what was made from another one (`cp -p`, `rsync -a`), so its time says nothing.
    """
    kind, _, rest = wildcards.settings.partition("/")
    mask, files = configuration.ego_vehicle_mask, []
    if kind == "datasets":
        dataset, _, part = rest.partition("/")
        files += files_of_images(configuration, dataset, part == "labelled")
        files += files_of_meaning(configuration, dataset) if part == "labelled" else []
    elif kind == "training":
        files += [plan.initial_file(BASELINE), *map(plan.backbone_file, plan.models)]
    elif kind == "prediction":
        files += [mask, configuration.self_training.class_priors]
    elif kind == "evaluation":
        files += [mask, *configuration.evaluation.class_subsets]
    return [hash_of_file(path) for path in sorted(map(str, filter(None, files))) if os.path.isfile(path)]


# In a dry run, many settings ask for the same large file of weights.
hash_of_file = cache(sha256_of)
