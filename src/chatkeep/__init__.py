"""Chatkeep: a self-hosted ChatKit server for any model, which keeps every conversation."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatkeep.app import Chatkeep
    from chatkeep.settings import Settings, load_settings

__all__ = ["Chatkeep", "Settings", "__version__", "load_settings"]

__version__ = version("chatkeep")

# The SDKs take seconds to import; a part of the package that does not need them need not wait.
_HOMES = {
    "Chatkeep": "chatkeep.app",
    "Settings": "chatkeep.settings",
    "load_settings": "chatkeep.settings",
}


def __getattr__(name: str) -> object:
    if (home := _HOMES.get(name)) is None:
        raise AttributeError(f"module 'chatkeep' has no attribute {name!r}")
    return getattr(import_module(home), name)
