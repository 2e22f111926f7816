import pkgutil

import workflow_scripts
from tests.faults.full_disks import BY_HAND, LEFT_OUT, steps_of_rules


def test_every_step_is_tried_on_a_full_disk_or_has_a_reason_not_to():
    names = {module.name for module in pkgutil.iter_modules(workflow_scripts.__path__)}
    names -= {"__main__", "command_line"}
    assert sorted([*steps_of_rules(), *BY_HAND, *LEFT_OUT]) == sorted(names)
