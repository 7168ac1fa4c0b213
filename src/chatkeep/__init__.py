"""Chatkeep: a self-hosted ChatKit server for any model, which keeps every conversation."""

from chatkeep.app import VERSION, Chatkeep
from chatkeep.settings import Settings, load_settings

__version__ = VERSION

__all__ = ["Chatkeep", "Settings", "__version__", "load_settings"]
