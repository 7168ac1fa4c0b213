"""Settings of what is told of runs beside the log's own lines."""

from typing import Literal

from pydantic import Field

from chatkeep.settings.section import Section


class Telemetry(Section):
    """What is told of what agents do."""

    agent_spans: Literal["off", "log"] = Field(
        "off", description="off, or log: a line for each step of an agent"
    )
