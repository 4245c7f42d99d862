"""How a module of vmnet's is run by this interpreter, wherever it was imported from."""

import os
import sys
from typing import Final

_RUN: Final = (
    "import os, runpy, sys; _, path, module, *words = sys.argv; "
    "sys.path += [x for x in path.split(os.pathsep) if x not in sys.path]; "
    "sys.argv = [module, *words]; runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


def argv(module: str) -> list[str]:
    """Return the command line that runs a module, to which its words are added.

    It finds what this process finds, after what Python itself brings: neither the working folder
    nor a variable of the environment comes first.
    """
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100  (also "")
    return [sys.executable, "-P", "-c", _RUN, path, module]
