"""Settings of the cache of answers."""

from pydantic import Field, SecretStr

from chatkeep.settings.section import Section
from chatkeep.settings.types import Seconds


class Cache(Section):
    """Whether, where and for how long answers are kept to be given again."""

    url: SecretStr | None = Field(
        None, description="memory://, redis://host:6379/1 or rediss://…; without one there is none"
    )
    ttl: Seconds = Field(3600, description="seconds for which an answer is given again")
    max_bytes: int = Field(67_108_864, ge=65_536, description="bytes of answers in memory, at most")
