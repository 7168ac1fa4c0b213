"""The models that a user may choose, for front ends that are not served from here."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chatkeep.http.asking import Asking
from chatkeep.models.catalog import Catalog


@dataclass(frozen=True, slots=True)
class ModelsEndpoint:
    """Lists models, as the `models` of a composer's options.

    Args:
        catalog: The models; None: there is nothing to choose.
        asking: Finds out who asks.
    """

    catalog: Catalog | None
    asking: Asking

    def routes(self) -> list[Route]:
        """Return where this answers."""
        return [Route("/chatkit/models", self.list, methods=["GET"])]

    async def list(self, request: Request) -> Response:
        """Return the models of the user's tenant, the default one marked."""
        asked = await self.asking(request)
        tenant = asked.context.principal.tenant
        return asked.json({"models": self.catalog.choices(tenant) if self.catalog else []})
