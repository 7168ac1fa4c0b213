"""Uploads as a front end makes them."""

import base64
from typing import Any

import httpx2

from chatkeep.testing.client import ChatKitClient

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg=="
)


async def upload(client: ChatKitClient, content: bytes = PNG, **params: Any) -> str:
    """Register and upload a file; return its id."""
    defaults = {"name": "dot.png", "mime_type": "image/png", "size": len(content)}
    attachment = await client.call("attachments.create", **(defaults | params))
    descriptor = attachment["upload_descriptor"]
    async with httpx2.AsyncClient(trust_env=False) as http:
        response = await http.put(descriptor["url"], content=content, headers=descriptor["headers"])
    assert response.status_code == 204, response.text
    return str(attachment["id"])
