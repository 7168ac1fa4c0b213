"""Settings of who may use the chat."""

from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from chatkeep.settings.section import Section
from chatkeep.settings.types import Algorithm, Identifier, KeyURL, comma_list


class Auth(Section):
    """Who may use the chat."""

    mode: Annotated[tuple[Literal["anonymous", "jwt"], ...], BeforeValidator(comma_list)] = Field(
        ("anonymous",),
        min_length=1,
        description="anonymous (a signed cookie for each browser, loopback only), jwt (tokens of "
        "an issuer), or both by commas",
    )
    issuer: Identifier | None = Field(
        None, description="the issuer of the tokens, exactly as their iss says"
    )
    jwks_url: KeyURL | None = Field(
        None, description="an https URL of the issuer's keys, such as https://issuer/jwks.json"
    )
    audience: Identifier | None = Field(
        None, description="the name of this server in the aud of the tokens"
    )
    algorithms: Annotated[tuple[Algorithm, ...], BeforeValidator(comma_list)] = Field(
        get_args(Algorithm),
        min_length=1,
        description="asymmetric signature algorithms by commas, such as RS256,ES256",
    )
    user_claim: Identifier = Field("sub", description="the claim that names the user")
    tenant_claim: Identifier = Field("tenant", description="the claim that names the tenant")
    default_tenant: Identifier | None = Field(
        None, description="the tenant of tokens that name none"
    )
    token_type: Identifier | None = Field(
        None, description="the typ that tokens must have, such as at+jwt"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Refuse half a sign-in: tokens that cannot be checked, or that nobody asks for."""
        needed = {
            "CHATKEEP_AUTH_ISSUER": self.issuer,
            "CHATKEEP_AUTH_JWKS_URL": self.jwks_url,
            "CHATKEEP_AUTH_AUDIENCE": self.audience,
        }
        if "jwt" in self.mode:
            if missing := [name for name, value in needed.items() if value is None]:
                raise ValueError(f"auth.mode: jwt needs more settings; set {', '.join(missing)}")
        elif given := [name for name, value in needed.items() if value is not None]:
            raise ValueError(
                f"auth.mode: {', '.join(given)} would have no effect, as jwt is not among the "
                "modes; set CHATKEEP_AUTH_MODE=jwt"
            )
        return self
