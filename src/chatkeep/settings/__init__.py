"""Settings: one frozen, typed tree, read once.

Sources, weakest first: the defaults below, `chatkeep.toml`, `.env`, the environment, command-line
options. A field `section.field` is `CHATKEEP_SECTION_FIELD` in the environment; the names that
people already use (`PORT`, `OPENAI_API_KEY`, …) are aliases. Any name may be given as `NAME_FILE`
with the path of a file that holds the value, as container secrets are mounted.

Every failure is a `SettingsError` of one line: the field, where its value came from, and what to
do. Values of secret fields never appear in one.
"""

from chatkeep.settings.auth import Auth
from chatkeep.settings.sources import ALIASES, PREFIX, load_settings, unknown_names
from chatkeep.settings.tree import Settings, walk

__all__ = ["ALIASES", "PREFIX", "Auth", "Settings", "load_settings", "unknown_names", "walk"]
