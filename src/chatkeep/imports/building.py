"""Pydantic's validators, which are built when they are used.

A model builds its validator when its class is made, with those of all models in it, and a
`TypeAdapter` when it is made. Most models of the SDKs are only ever part of others, or not used at
all; `defer_build` is pydantic's own word for what is done here for all that is imported meanwhile.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict, TypeAdapter

_DEFER = "_defer_build"


@contextmanager
def built_when_used() -> Iterator[None]:
    """Import models and adapters of all kinds without building them."""
    # A property of pydantic's own; tests/unit/test_imports.py shows that it is still asked.
    config, adapts = BaseModel.model_config, vars(TypeAdapter)[_DEFER]
    BaseModel.model_config = ConfigDict(defer_build=True)
    setattr(TypeAdapter, _DEFER, property(lambda _: True))
    try:
        yield
    finally:
        BaseModel.model_config = config
        setattr(TypeAdapter, _DEFER, adapts)
