"""The steps of the workflow: arguments in, files out. Each runs by hand as `python -m workflow_scripts.STEP`."""
