"""The default target of a workflow that includes this one."""

from typing import Any


class FilesBeingRead(list):  # type: ignore[type-arg]
    """Snakemake's stack of the files that it reads, as long as included files are on it.

    Rules of an included file are never the default target: when Snakemake has read the file, it remembers the
    target of before, and then takes the file from its stack. That is the last moment to name another one.
    """

    def __init__(self, workflow: Any, default_target: str) -> None:
        super().__init__(workflow.included_stack)
        self.workflow, self.default_target, self.depth = workflow, default_target, len(self)

    def pop(self, *place: Any) -> Any:
        """Take a file from the stack; if no rule came before it, name the default target."""
        file = super().pop(*place)
        if len(self) < self.depth:
            self.workflow.default_target = self.workflow.default_target or self.default_target
        if len(self) == 1:
            self.workflow.included_stack = list(self)
        return file


def be_default_target(workflow: Any, rule: str) -> None:
    """Make a rule the default target of the workflow that includes this file, unless it has one already."""
    workflow.included_stack = FilesBeingRead(workflow, rule)
