import subprocess
import sys

from cotrain.networks.quick_timm import _unchanged

PROGRAM = """
import sys
import torch
from cotrain.networks.quick_timm import import_timm

timm = import_timm()
assert "torch._dynamo" not in sys.modules, "the compiler was imported"
network = timm.create_model("test_efficientnet", features_only=True).eval()
x = torch.rand(1, 3, 64, 64)
with torch.inference_mode():
    expected = network(x)[-1]
assert import_timm() is timm
# Whoever compiles gets the real compiler.
import torch._dynamo
compiled = torch.compile(network, backend="eager")
torch.testing.assert_close(compiled(x)[-1].detach(), expected)
assert torch._dynamo.utils.counters["stats"]["calls_captured"] > 0
print("fine")
"""


def test_the_compiler_is_only_imported_to_compile():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "fine", done.stderr[-2000:]


def test_timm_is_the_same_where_the_compiler_is_already_imported():
    program = "import torch._dynamo; from cotrain.networks.quick_timm import import_timm; import_timm()"
    program += "; print('fine')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "fine", done.stderr[-2000:]


def test_the_stand_in_is_a_decorator_with_and_without_arguments():
    def function():
        return 3

    assert _unchanged(function) is function
    assert _unchanged(recursive=False)(function) is function
