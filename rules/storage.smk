# Where the files of a run lie if Snakemake keeps its results in a storage, such as S3.
#
# Snakemake stores and fetches what rules declare. A run has more: the states of trainings, which no rule may declare
# (Snakemake removes what a killed job declares), images beside their manifest, and what says how far a step is. They
# lie beside Snakemake's local copies, and so does what `not_stored` marks. So these copies are kept, and jobs on other
# machines share them by a volume.
from snakemake.io import flag
from snakemake.path_modifier import PATH_MODIFIER_FLAG
from snakemake_interface_executor_plugins.settings import SharedFSUsage

STORAGE = workflow.storage_settings
# Taken now: when a job is planned, it is the one of the workflow that imports this one.
modify_path = workflow.modifier.modify_path
# Jobs on other machines, such as pods, that share no files with this one but for the volume. Known where the profile or
# the command line say so: what an executor itself sets comes after the Snakefile has been read.
SHARES_ONLY_VOLUME = bool(
    STORAGE and STORAGE.default_storage_provider and SharedFSUsage.INPUT_OUTPUT not in STORAGE.shared_fs_usage
)


def on_this_machine(path):
    """Where this machine has a file of the run, or its copy of it."""
    return str(modify_path(path))


def not_stored(path):
    """A file or folder that rules declare, but that stays on this machine or on the volume.

    Predictions, because Snakemake removes temporary files from a storage only, and their local copies would stay;
    folders of labels, because it does not see a folder that a job on another machine has stored.
    """
    return flag(on_this_machine(path), PATH_MODIFIER_FLAG)


def check_storage():
    """Stop where a storage is used in a way by which files that no rule declares would be lost."""
    if not (STORAGE and STORAGE.default_storage_provider):
        return
    if not STORAGE.keep_storage_local:
        stop(
            "--default-storage-provider: the states of trainings and the images of a run lie beside the local copies "
            "of what is stored: expected --keep-storage-local-copies too, as in profiles/s3"
        )
    if SHARES_ONLY_VOLUME and not workflow.remote_exec:
        here, there = STORAGE.local_storage_prefix, STORAGE.remote_job_local_storage_prefix
        if here != there or not os.path.isabs(there):
            stop(
                f"--local-storage-prefix is {here}, --remote-job-local-storage-prefix is {there}: expected the same "
                "absolute path for both, a folder on the volume that this machine and all jobs mount, as in "
                "profiles/kubernetes"
            )
        entries = {
            f"datasets.{name}.root": entry.root
            for name, entry in configuration.datasets.items()
            if getattr(entry, "root", None)
        }
        for key, path in entries.items():
            refuse_relative(path, key)


def refuse_relative(path, key):
    """Stop if a file of the user's is named so that jobs on other machines would not find it."""
    if SHARES_ONLY_VOLUME and not os.path.isabs(path):
        stop(
            f"{key}: {path} is relative to the working folder, which jobs on other machines do not have: expected an "
            "absolute path on the volume that they mount"
        )


check_storage()
