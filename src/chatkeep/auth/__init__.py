"""Who is asking: one file for each way to prove it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chatkeep.auth import anonymous
from chatkeep.ports import Authenticator

type Probe = Callable[[], Awaitable[None]]
type Close = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class JwtConfig:
    """Whose tokens count, and what they must say.

    Attributes:
        issuer: What `iss` must be, to the character.
        jwks_url: Where the issuer publishes its keys.
        audience: What `aud` must contain.
        algorithms: The signature algorithms that count; asymmetric ones only.
        user_claim: The claim with the user's name.
        tenant_claim: The claim with the tenant's name.
        default_tenant: The tenant of tokens without that claim; None refuses them.
        token_type: What `typ` must be; None takes any.
        reserved_tenant: A tenant that no token may name, as others live there.
    """

    issuer: str
    jwks_url: str
    audience: str
    algorithms: tuple[str, ...]
    user_claim: str = "sub"
    tenant_claim: str = "tenant"
    default_tenant: str | None = None
    token_type: str | None = None
    reserved_tenant: str | None = None


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """Which ways to prove who one is are open.

    Attributes:
        data_dir: Where the key of the cookies is kept.
        anonymous: Whether a browser without a token gets a cookie.
        jwt: Whose tokens count; None: nobody's.
    """

    data_dir: Path
    anonymous: bool = True
    jwt: JwtConfig | None = None


@dataclass(frozen=True, slots=True)
class Authenticators:
    """The open ways, in the order in which they are asked.

    Attributes:
        chain: A token comes before a cookie, as it is sent on purpose.
        probes: By name, what asks an outside party that is needed; they raise `ChatkeepError`.
    """

    chain: Sequence[Authenticator]
    probes: Mapping[str, Probe] = field(default_factory=dict)
    closers: Sequence[Close] = ()

    async def aclose(self) -> None:
        """Stop what runs in the background. Idempotent."""
        for close in self.closers:
            await close()


def open_authenticators(config: AuthConfig) -> Authenticators:
    """Return what tells who is asking. Nobody outside is asked before the first token comes.

    Raises:
        SettingsError: The data directory cannot be written, its key is damaged, or an algorithm
            is not one that tokens may be signed with.
    """
    chain: list[Authenticator] = []
    probes: dict[str, Probe] = {}
    closers: list[Close] = []
    if config.jwt:
        # Cryptography takes its time to load, and most servers on a desk do not need it.
        from chatkeep.auth.jwks import IssuerKeys  # noqa: PLC0415
        from chatkeep.auth.jwt import JwtAuthenticator  # noqa: PLC0415

        keys = IssuerKeys(config.jwt.jwks_url)
        chain.append(JwtAuthenticator(config.jwt, keys))
        probes["issuer"] = keys.probe
        closers.append(keys.aclose)
    if config.anonymous:
        key = anonymous.load_key(config.data_dir)
        chain.append(anonymous.AnonymousAuthenticator(key))
    return Authenticators(chain, probes, closers)
