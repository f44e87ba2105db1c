"""What would happen if BFCL's own way to run a call were taken: it goes through `eval`."""

from __future__ import annotations

import importlib
import runpy


class Tried:
    """`simulators` is the file of the module that shuts it, so that this needs no package."""

    def __init__(self, folder: str, simulators: str) -> None:
        self._module = runpy.run_path(simulators)
        self._module["Simulators"](folder)

    def run(self) -> object:
        """Run a call as the wheel does; it tells what happened as the result of the call."""
        utils = importlib.import_module(self._module["EVALUATOR"] + ".multi_turn_utils")
        results, _ = utils.execute_multi_turn_func_call(["add(a=1, b=2)"], {}, ["MathAPI"], "model", "1")
        return results
