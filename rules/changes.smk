# What makes a job run again besides its settings: the content of the user's files, and keys of other sections.
from functools import cache

from cotrain.data.files import sha256_of


def decides_besides(wildcards):
    """What is not in a settings file, but decides jobs that read it and the checks before them.

    Where the checks run again, Snakemake overlooks that a job behind their `ancient` report has changed itself. It
    does not if the job's settings are made again too.
    """
    kind, _, rest = wildcards.settings.partition("/")
    device, mask, files = configuration.device, configuration.ego_vehicle_mask, []
    if kind == "datasets":
        dataset, _, part = rest.partition("/")
        files = files_of_images(configuration, dataset, part == "labelled")
        files += files_of_meaning(configuration, dataset) if part == "labelled" else []
        return contents_of(*files)
    if kind == "training":
        return [device, *contents_of(plan.initial_file(BASELINE), *map(plan.backbone_file, plan.models))]
    if kind == "translation":
        return [configuration.seed]
    if kind == "health":
        return [configuration.test]
    if kind == "prediction":
        priors = configuration.self_training.class_priors
        return [device, mask, priors, *contents_of(mask, priors)]
    return (
        [device, mask, *contents_of(mask, *configuration.evaluation.class_subsets)]
        if kind == "evaluation"
        else []
    )


# In a dry run, many settings ask for the same large file of weights.
hash_of_file = cache(sha256_of)


def contents_of(*files):
    """The hash of each of the user's files that is there.

    A copy may be older than what was made from another one (`cp -p`, `rsync -a`), so its time says nothing.
    """
    return [hash_of_file(path) for path in sorted(map(str, filter(None, files))) if os.path.isfile(path)]
