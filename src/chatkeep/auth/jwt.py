"""Tokens of an issuer: signed JWTs (RFC 7519), checked as RFC 8725 and RFC 9068 ask.

A token may choose among the keys that the issuer publishes and the algorithms that the settings
allow, and nothing else: keys in its header, or URLs of keys, are not looked at. Nothing of a token
is ever logged or repeated in an answer.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

import jwt

from chatkeep.auth import JwtConfig
from chatkeep.auth.jwks import IssuerKeys, Key
from chatkeep.context import Principal
from chatkeep.errors import InvalidTokenError, SettingsError
from chatkeep.ports import Credentials, Identity

_LEEWAY = 60  # seconds that clocks may differ
_MAX_TOKEN = 8 * 1024  # characters
_MAX_NAME = 255

_SIGNED = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_ENCRYPTED_DOTS = 4

_RSA = frozenset({("RSA", None)})
_KEYS: Mapping[str, frozenset[tuple[str, str | None]]] = {
    **{f"{family}{bits}": _RSA for family in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": frozenset({("EC", "P-256")}),
    "ES384": frozenset({("EC", "P-384")}),
    "ES512": frozenset({("EC", "P-521")}),
    "EdDSA": frozenset({("OKP", "Ed25519"), ("OKP", "Ed448")}),
}
"""The kinds and curves of keys that fit an algorithm. No others exist: with a symmetric one, the
public key would do to sign."""


_REASONS: Mapping[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "The token has expired.",
    jwt.ImmatureSignatureError: "The token is not valid yet.",
    jwt.InvalidAudienceError: "The token is for another audience.",
    jwt.InvalidIssuerError: "The token is from another issuer.",
    jwt.InvalidSignatureError: "The signature of the token is not valid.",
}


class JwtAuthenticator:
    """Knows users by the tokens that an issuer gives them.

    Args:
        config: What tokens must say.
        keys: The issuer's keys.

    Raises:
        SettingsError: An algorithm is not one that tokens may be signed with.
    """

    def __init__(self, config: JwtConfig, keys: IssuerKeys) -> None:
        if unknown := set(config.algorithms) - _KEYS.keys():
            raise SettingsError(f"auth.algorithms: {', '.join(sorted(unknown))} cannot be used")
        self._config = config
        self._keys = keys
        self._jwt = jwt.PyJWT(
            {"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True}
        )

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        """Return the user of the token; None when there is no token.

        Raises:
            InvalidTokenError: The token is not valid, or there are two.
            IssuerUnavailableError: The keys to check it with cannot be had.
        """
        token = _token_of(credentials)
        if token is None:
            return None
        header = self._header_of(token)
        # Signed or not, another issuer's token is no reason to fetch keys.
        if _json_object(token.split(".")[1]).get("iss") != self._config.issuer:
            raise InvalidTokenError("The token is from another issuer.")
        claims = self._verify(token, header["alg"], await self._key_for(header))
        tenant = self._tenant_of(claims)
        user = _name(claims, self._config.user_claim)
        if user is None:
            raise InvalidTokenError(f"The token lacks the claim {self._config.user_claim!r}.")
        return Identity(Principal(tenant, user, "jwt"))

    def _header_of(self, token: str) -> dict[str, Any]:
        """Return the header, as far as it can be judged without a key."""
        if len(token) > _MAX_TOKEN:
            raise InvalidTokenError(f"The token is longer than {_MAX_TOKEN} characters.")
        if token.count(".") == _ENCRYPTED_DOTS:
            raise InvalidTokenError("Encrypted tokens are not supported.")
        if not _SIGNED.fullmatch(token):
            raise InvalidTokenError("The token is malformed.")
        header = _json_object(token.split(".", 1)[0])
        if header.get("alg") not in self._config.algorithms:
            raise InvalidTokenError("The token is signed with an algorithm that is not allowed.")
        if "crit" in header or "b64" in header:
            raise InvalidTokenError("The token demands an extension that is not supported.")
        expected = self._config.token_type
        if expected is not None and _media_type(header.get("typ")) != _media_type(expected):
            raise InvalidTokenError("The token is not of the type that is expected here.")
        return header

    async def _key_for(self, header: dict[str, Any]) -> Key:
        key_id, algorithm = header.get("kid"), header["alg"]
        if not isinstance(key_id, str):
            raise InvalidTokenError("The token does not say which key signed it.")
        keys = await self._keys.find(key_id)
        if not keys:
            raise InvalidTokenError("The token is signed with a key that the issuer does not have.")
        for key in keys:
            fits = (key.kind, key.curve) in _KEYS[algorithm]
            if fits and key.algorithm in (None, algorithm):
                return key
        raise InvalidTokenError("The key that the token names is not for its algorithm.")

    def _verify(self, token: str, algorithm: str, key: Key) -> dict[str, Any]:
        """Return the claims of a token, once the signature and the registered ones are right."""
        try:
            return self._jwt.decode(
                token,
                key.public,
                algorithms=[algorithm],
                audience=self._config.audience,
                issuer=self._config.issuer,
                leeway=_LEEWAY,
            )
        except jwt.PyJWTError as error:
            # Not its message, which may quote the token.
            raise InvalidTokenError(_reason(error)) from None

    def _tenant_of(self, claims: dict[str, Any]) -> str:
        tenant = _name(claims, self._config.tenant_claim) or self._config.default_tenant
        if tenant is None:
            raise InvalidTokenError(f"The token lacks the claim {self._config.tenant_claim!r}.")
        if tenant == self._config.reserved_tenant:
            raise InvalidTokenError("The token names a tenant that is not for users with tokens.")
        return tenant


def _token_of(credentials: Credentials) -> str | None:
    """Return the token, from where clients put it."""
    found: set[str] = set()
    scheme, _, value = credentials.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        found.add(value.strip())
    if (session := credentials.headers.get("x-session-token")) is not None:
        found.add(session.strip())
    if len(found) > 1:
        raise InvalidTokenError("Authorization and X-Session-Token are two different tokens.")
    return found.pop() if found else None


def _json_object(part: str) -> dict[str, Any]:
    """Return what a part of a token says, which proves nothing yet."""
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        raise InvalidTokenError("The token is malformed.") from None
    if not isinstance(value, dict):
        raise InvalidTokenError("The token is malformed.")
    return value


def _media_type(value: object) -> str | None:
    """Return a `typ` in the short form; case does not matter (RFC 7515, 4.1.9)."""
    return value.lower().removeprefix("application/") if isinstance(value, str) else None


def _name(claims: dict[str, Any], claim: str) -> str | None:
    """Return the name in a claim; None when there is none."""
    value = claims.get(claim)
    if value is None:
        return None
    good = isinstance(value, str) and value.strip() and value.isprintable()
    if not good or len(value) > _MAX_NAME:
        raise InvalidTokenError(
            f"The claim {claim!r} of the token is not a name: text of 1 to {_MAX_NAME} characters "
            "without control characters."
        )
    return str(value)


def _reason(error: jwt.PyJWTError) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"The token lacks the claim {error.claim!r}."
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason
    return "The token is malformed."
