"""Packages whose `__init__` gathers names of their modules: each module is run for its names only.

It is what `__getattr__` of a module does for packages that think of it themselves.
"""

import ast
from collections.abc import Collection, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any


class ExportsFinder(MetaPathFinder):
    """Finds the packages of a list."""

    def __init__(self, packages: Collection[str]) -> None:
        self._packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the package with a loader of ours, or None for the finders after this one."""
        if fullname not in self._packages:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _ExportsLoader(spec.loader.name, spec.loader.path)
        return spec


class _ExportsLoader(SourceFileLoader):
    """Runs an `__init__` without its `from .module import name` lines."""

    def exec_module(self, module: ModuleType) -> None:
        tree = ast.parse(self.get_data(self.path), self.path)
        exports = _exports(tree)
        tree.body = [node for node in tree.body if not _is_export(node)]
        code: CodeType = compile(tree, self.path, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - what the loader of any module does
        package = module.__name__

        def get(name: str) -> Any:
            if name not in exports:
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            home, own_name = exports[name]
            found = getattr(import_module(f".{home}", package), own_name)
            module.__dict__[name] = found
            return found

        module.__dict__["__getattr__"] = get
        module.__dict__["__dir__"] = lambda: sorted({*module.__dict__, *exports})


def _is_export(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.level == 1 and node.module is not None


def _exports(tree: ast.Module) -> dict[str, tuple[str, str]]:
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module is not None
        for alias in node.names
    }
