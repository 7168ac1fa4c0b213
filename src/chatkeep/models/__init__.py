"""The models: which provider answers, and what a user may choose.

`open_models` makes the catalog from a `ModelsConfig`; nothing is contacted before the first
message, except a local Ollama that is looked for when nothing else is configured.
"""

from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.choice import ModelsConfig, choose_provider
from chatkeep.models.opening import open_models

__all__ = ["Catalog", "ModelEntry", "ModelsConfig", "choose_provider", "open_models"]
