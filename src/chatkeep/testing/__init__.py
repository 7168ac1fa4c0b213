"""The contract suites and the stand-ins, for your own tests too.

Each is loaded when it is asked for: the suites need pytest and pytest-asyncio, the provider does
not.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatkeep.testing.cache_contract import CacheContract
    from chatkeep.testing.file_contract import FileStorageContract
    from chatkeep.testing.provider import ScriptedProvider
    from chatkeep.testing.relay_contract import RelayContract
    from chatkeep.testing.store_contract import StoreContract

__all__ = [
    "CacheContract",
    "FileStorageContract",
    "RelayContract",
    "ScriptedProvider",
    "StoreContract",
]

_SINGLE = {
    "CacheContract": "cache_contract",
    "FileStorageContract": "file_contract",
    "RelayContract": "relay_contract",
}

_SUITES = (
    "store_contract",
    "store_finding",
    "store_lists",
    "store_pages",
    "store_sharing",
    "store_tenancy",
    "store_turns",
    "store_upkeep",
    "store_values",
)


def __getattr__(name: str) -> object:
    if name == "ScriptedProvider":
        return import_module(f"{__name__}.provider").ScriptedProvider
    if name == "StoreContract":
        import pytest  # noqa: PLC0415 - not there in production

        # Failures then show the values, as in test modules.
        suites = [f"{__name__}.{suite}" for suite in _SUITES]
        pytest.register_assert_rewrite(*[suite for suite in suites if suite not in sys.modules])
        return import_module(f"{__name__}.store_contract").StoreContract
    if name in _SINGLE:
        import pytest  # noqa: PLC0415

        module = f"{__name__}.{_SINGLE[name]}"
        if module not in sys.modules:
            pytest.register_assert_rewrite(module)
        return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
