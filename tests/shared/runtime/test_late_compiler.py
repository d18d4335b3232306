"""torch's compiler comes with the first who needs it, and is then the same as ever."""

from __future__ import annotations

from tests.shared.runtime.test_fast_imports import run

FIRST_USES = (
    "module.compile(backend='eager'); module(torch.ones(2, 3))",
    "from torch._dynamo.utils import counters; assert counters is torch._dynamo.utils.counters",
    "import torch._dynamo.config as config; assert config is torch._dynamo.config",
    "early.config.suppress_errors = False",
)
PROGRAM = """
import inspect, os, sys
import shared.runtime.fast_imports
import torch
from lightning.fabric.wrappers import OptimizedModule

module = torch.nn.Linear(3, 1)
optimizer = torch.optim.Adam(module.parameters())

def step():
    optimizer.zero_grad()
    module(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())

step()
import torchvision
inspect.stack()  # looks at all modules
import torch._dynamo as early
assert not isinstance(module, OptimizedModule)
assert "sympy" not in sys.modules, "the compiler is loaded"

def check():
    assert "sympy" in sys.modules, "the compiler is not loaded"
    assert torch._dynamo is sys.modules["torch._dynamo"] and torch._dynamo is not early
    assert early.config is torch._dynamo.config
    for name in ("utils", "config"):
        part = sys.modules[f"torch._dynamo.{name}"]
        assert getattr(torch._dynamo, name) is part and part.__spec__.loader.path == part.__file__
    step()
    compiled = torch.compile(module, backend="eager")
    assert isinstance(compiled, OptimizedModule) and not isinstance(module, OptimizedModule)
    with torch.no_grad():
        assert torch.equal(compiled(torch.ones(2, 3)), module(torch.ones(2, 3)))

for use in FIRST_USES:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            exec(use)
            check()
            status = 0
        finally:
            if status:
                sys.excepthook(*sys.exc_info())
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0, use
"""


def test_whoever_needs_the_compiler_has_it():
    run(f"FIRST_USES = {FIRST_USES!r}\n{PROGRAM}")
