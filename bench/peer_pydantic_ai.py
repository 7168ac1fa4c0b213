"""An agent of pydantic-ai behind AG-UI, as its documentation has it: a peer to measure."""

import argparse
import os

import uvicorn
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.ui.ag_ui import AGUIAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


def build(base_url: str) -> Starlette:
    """Return the application."""
    provider = OpenAIProvider(base_url=base_url, api_key="none")
    agent = Agent(
        OpenAIChatModel("mock-model", provider=provider),
        instructions="You are a helpful assistant.",
    )

    async def run(request: Request) -> Response:
        return await AGUIAdapter.dispatch_request(request, agent=agent)

    async def live(request: Request) -> Response:
        del request
        return PlainTextResponse("ok")

    return Starlette(
        routes=[Route("/ag-ui", run, methods=["POST"]), Route("/livez", live)],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=8002)
    uvicorn.run(
        build(os.environ["OPENAI_BASE_URL"]),
        port=parser.parse_args().port,
        access_log=False,
        log_level="warning",
    )
