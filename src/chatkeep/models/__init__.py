"""The models: which provider answers, and what a user may choose.

`opening.open_models` makes the `catalog.Catalog` from a `choice.ModelsConfig`; nothing is contacted
before the first message, except a local Ollama that is looked for when nothing else is configured.
"""
