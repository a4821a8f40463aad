"""Lazy packages: what the SDK's packages re-export is imported when it is asked for, as by PEP 810.

`import anthropic` executes three thousand modules, to have the types of every endpoint at hand, and takes
longer than all the rest of a trial. This agent calls one endpoint.
"""

import re
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# These packages have little else than `from .module import Name as Name` in them.
PACKAGES = re.compile(r"anthropic(\.(types|resources)(\.\w+)*)?")
REEXPORT = re.compile(r"^from (\.[\w.]+) import (?:\(([^)]+)\)|(.+))", re.MULTILINE)


def install() -> None:
    """From here on, the SDK is imported lazily."""
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not PACKAGES.fullmatch(fullname):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.submodule_search_locations and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    def __init__(self, whole: SourceFileLoader) -> None:
        self._whole = whole

    def exec_module(self, module: ModuleType) -> None:
        """Leaves the package's code unexecuted for as long as only what it re-exports is asked for."""
        reexports = REEXPORT.findall(self._whole.get_source(module.__name__) or "")
        parts = ((where, part.split()) for where, many, one in reexports for part in (many or one).split(","))
        home = {words[-1]: where for where, words in parts if words}  # of `A` and of `A as B` the last word

        def get(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            if name in home:
                value = getattr(import_module(home[name], module.__name__), name)
            elif find_spec(f"{module.__name__}.{name}"):
                value = import_module(f"{module.__name__}.{name}")
            else:  # defined in the package itself: then all of it
                vars(module).pop("__getattr__", None)
                self._whole.exec_module(module)
                value = getattr(module, name)
            setattr(module, name, value)
            return value

        vars(module)["__getattr__"] = get
