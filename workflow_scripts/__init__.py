"""The steps of the workflow: arguments in, files out. By hand: `python -m workflow_scripts.STEP`."""
