"""Who is asking, and what travels with a request through every layer."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or program whose identity was verified.

    Attributes:
        tenant: The organisation whose data this is. Every key in every store starts with it.
        user: The owner within the tenant; unique there and stable over time.
        scheme: How the identity was proven, for instance `anonymous`.
    """

    tenant: str
    user: str
    scheme: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for a turn, until somebody else takes it over.

    Attributes:
        turn_id: The turn.
        fence: Its number at the time; an older one than the turn's is of no use any more.
    """

    turn_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What the layers below HTTP may know of a request. Never the HTTP request itself.

    Attributes:
        principal: Who is asking. Stores read tenant and owner from here and nowhere else.
        request_id: Correlates log lines, problem documents and error events of one request.
        locale: The user's first accepted language (BCP 47), or None.
        metadata: The `metadata` object of the ChatKit request: untrusted client data.
        base_url: Where the client reaches this server, without a slash at the end: links to
            files begin with it.
        lease: The turn on whose behalf this is; None outside of turns. A store lets a write with
            a lease happen only while the lease is held.
    """

    principal: Principal
    request_id: str
    locale: str | None = None
    metadata: dict[str, object] = field(default_factory=dict)
    base_url: str = ""
    lease: Lease | None = None
