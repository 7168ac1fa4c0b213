"""The chat page, the element and their files, as the front end's build left them."""

import json
import mimetypes
import re
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from chatkeep.http.problems import HTTPProblem

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_CONFIG_MARK = "<!--chatkeep:config-->"
_HASHED = re.compile(r"-[0-9a-f]{8,}\.")
_FOR_ALL = {
    # For pages of other origins; those that check the hash of a script need the second one.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Access-Control-Allow-Origin": "*",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_BUILD_IT = "The front end has not been built; run 'make web' (a wheel contains it)."


class Assets:
    """Every file of the front end, read once: a few hundred kilobytes."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        self._files = {path.name: path.read_bytes() for path in files if path.is_file()}
        page = self._files.pop("index.html", b"").decode()
        # "<" must not end the script element that holds the configuration.
        data = json.dumps(config, ensure_ascii=False).replace("<", "\\u003c")
        script = f'<script type="application/json" id="chatkeep-config">{data}</script>'
        self._page = page.replace(_CONFIG_MARK, script)

    @property
    def built(self) -> bool:
        """Whether there is a front end."""
        return bool(self._page)

    def page(self, set_cookie: str | None) -> Response:
        """Return the chat page."""
        if not self.built:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, _BUILD_IT)
        response = Response(self._page, media_type="text/html")
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Security-Policy"] = PAGE_POLICY
        if set_cookie:
            response.headers["Set-Cookie"] = set_cookie
        return response

    def element(self, request: Request) -> Response:
        """Return `chatkit.js`, which keeps its name: to be asked for again, by its hash."""
        body = self._files.get("chatkit.js")
        if body is None:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, _BUILD_IT)
        tag = f'"{sha256(body).hexdigest()[:32]}"'
        headers = {**_FOR_ALL, "ETag": tag, "Cache-Control": "no-cache"}
        known = request.headers.get("if-none-match", "").split(",")
        # Weak, as nginx makes it when it compresses.
        if any(one.strip().removeprefix("W/") in (tag, "*") for one in known):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(body, headers=headers, media_type="text/javascript")

    def asset(self, name: str) -> Response:
        """Return a file; one whose name contains its hash may be kept for ever."""
        body = self._files.get(name)
        if body is None:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "There is no such file.")
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        kept = _FOR_EVER if _HASHED.search(name) else "no-cache"
        headers = {**_FOR_ALL, "Cache-Control": kept}
        return Response(body, headers=headers, media_type=media_type)
