"""Modules that wait: they can be imported, and run when something of theirs is used."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any

type Instead = Callable[..., object | None]
"""Answers a call while nothing of a part has been used; None: only the real one can."""

type Taken = Mapping[str, Mapping[str, Instead]]
"""Names of a module, each with what of it is called instead: itself (`__call__`) or a method."""


class Part:
    """A package that is not run before it is used.

    Args:
        name: The package; all modules below it belong to it.
        taken: The modules that others import in any case, and what they take from them by name
            without using it.
    """

    def __init__(self, name: str, taken: Mapping[str, Taken]) -> None:
        self.name = name
        self.taken = taken
        self.used = False
        self.lock = RLock()

    def __contains__(self, module: str) -> bool:
        return module == self.name or module.startswith(f"{self.name}.")

    def use(self) -> None:
        """Run the package, whose modules then run as it imports them."""
        with self.lock:
            if self.used:
                return
            self.used = True
            package = sys.modules.get(self.name)
            loader = getattr(package, "__loader__", None)
            if package is not None and isinstance(loader, _WaitingLoader):
                loader.run(package)


class Later:
    """A name of a module that waits: whatever is done with it but a check of a type runs it."""

    def __init__(
        self, module: ModuleType, name: str, part: Part, instead: Mapping[str, Instead]
    ) -> None:
        self._module = module
        self._name = name
        self._part = part
        self._instead = instead

    def _real(self) -> Any:
        self._part.use()
        return getattr(self._module, self._name)

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if not self._part.used and name in self._instead:
            found = self._instead[name](*args, **kwargs)
            if found is not None:
                return found
        real = self._real()
        method = real if name == "__call__" else getattr(real, name)
        return method(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102 - as what it stands for
        return self._call("__call__", *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if not self._part.used and name in self._instead:
            return partial(self._call, name)
        return getattr(self._real(), name)

    def __getitem__(self, key: Any) -> Any:
        return self._real()[key]

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (self._real(),)

    def __instancecheck__(self, instance: object) -> bool:
        # Nothing can be of a class that nobody has seen.
        return self._part.used and isinstance(instance, self._real())

    def __subclasscheck__(self, subclass: type) -> bool:
        return self._part.used and issubclass(subclass, self._real())


class WaitingFinder(MetaPathFinder):
    """Finds the modules of parts that nobody has used yet."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._parts = tuple(parts)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a module that waits, or None for the finders after this one."""
        part = next((part for part in self._parts if fullname in part and not part.used), None)
        if part is None:
            return None
        if fullname in part.taken:
            spec = PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _WaitingLoader(part, spec.loader)
            return spec
        # Whoever imports this uses the part, and the part imports its modules in its own order.
        part.use()
        module = sys.modules.get(fullname)
        return None if module is None else ModuleSpec(fullname, _Here(module))


class _WaitingLoader(Loader):
    """Makes a module, and runs it later."""

    def __init__(self, part: Part, loader: Loader) -> None:
        self.part = part
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Waiting(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass  # `run` does, later

    def run(self, module: ModuleType) -> None:
        """Run it in place, so that all who have imported it have the real one."""
        with self.part.lock:
            if isinstance(module, _Waiting):
                module.__class__ = ModuleType  # type: ignore[assignment] # what it says it is
                module.__loader__ = self._loader
                if module.__spec__ is not None:
                    module.__spec__.loader = self._loader
                self._loader.exec_module(module)


class _Here(Loader):
    """Finds a module that was imported while it was looked for, and does not run it again."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__
        module.__spec__ = None  # which importlib would follow, and run it once more

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002 - as it is called
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Waiting(ModuleType):
    """A module that has not run. Its class changes when it does."""

    def __getattr__(self, name: str) -> Any:
        loader = self.__dict__["__loader__"]
        # Who looks through all modules asks for such names, and has no use for them.
        is_asked_of_any = name.startswith("__") and name != "__all__"
        if is_asked_of_any or not isinstance(loader, _WaitingLoader):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        part = loader.part
        names = part.taken[self.__name__]
        if name in names and not part.used:
            return Later(self, name, part, names[name])
        part.use()
        loader.run(self)
        return getattr(self, name)
