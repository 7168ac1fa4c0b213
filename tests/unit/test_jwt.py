"""Tokens of an issuer: which count, which do not, and what the issuer is asked."""

import asyncio
import gzip
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.algorithms import HMACAlgorithm

from chatkeep.auth import AuthConfig, JwtConfig, jwks, open_authenticators
from chatkeep.auth.jwks import IssuerKeys
from chatkeep.auth.jwt import JwtAuthenticator
from chatkeep.context import Principal
from chatkeep.errors import (
    ChatkeepError,
    InvalidTokenError,
    IssuerUnavailableError,
    SettingsError,
)
from chatkeep.ports import Credentials
from support.issuer import (
    AUDIENCE,
    ISSUER,
    Issuer,
    claims_of,
    encoded,
    private_key,
    public_jwk,
    sign,
    token,
)
from support.waiting import until

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
MALFORMED = "The token is malformed."
UNKNOWN_KEY = "The token is signed with a key that the issuer does not have."

ALICE = Principal("acme", "alice", "jwt")


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer with three keys."""
    running = Issuer()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
def clock() -> Clock:
    """The clock of `keys`."""
    return Clock()


@pytest_asyncio.fixture
async def keys(issuer: Issuer, clock: Clock) -> AsyncIterator[IssuerKeys]:
    """The keys of `issuer`."""
    made = IssuerKeys(issuer.url, clock=clock)
    yield made
    await made.aclose()


def config(**changed: Any) -> JwtConfig:
    """What tokens must say."""
    good = {"issuer": ISSUER, "jwks_url": "", "audience": AUDIENCE, "algorithms": ALGORITHMS}
    return JwtConfig(**(good | changed))


async def come(keys: IssuerKeys, sent: str, **changed: Any) -> Principal:
    """Come with a token, and return who that is."""
    return await come_with(keys, {"authorization": f"Bearer {sent}"}, **changed)


async def come_with(keys: IssuerKeys, headers: dict[str, str], **changed: Any) -> Principal:
    """Come with headers, and return who that is."""
    authenticator = JwtAuthenticator(config(**changed), keys)
    identity = await authenticator.authenticate(Credentials(headers, {}))
    assert identity is not None
    assert identity.set_cookie is None
    return identity.principal


async def refused(keys: IssuerKeys, sent: str, **changed: Any) -> str:
    """Come with a bad token, and return why it is one; nothing of it is in the reason."""
    with pytest.raises(InvalidTokenError) as caught:
        await come(keys, sent, **changed)
    reason = str(caught.value)
    assert not any(len(part) > 8 and part in reason for part in sent.split("."))
    assert caught.value.__cause__ is None
    return reason


# Good tokens


@pytest.mark.parametrize("key", ["rsa", "ec", "ed"])
async def test_a_token_of_each_kind_of_key(keys: IssuerKeys, key: str) -> None:
    """RSA, elliptic curves and Edwards curves; the claims say who and of which tenant."""
    assert await come(keys, token(key)) == Principal("acme", "alice", "jwt")


async def test_the_claims_can_have_other_names(keys: IssuerKeys) -> None:
    """User and tenant are read where the settings say, to the letter."""
    sent = token(**{"https://x.example/org": "beta", "oid": "4711", "sub": ...})
    names = {"user_claim": "oid", "tenant_claim": "https://x.example/org"}
    assert await come(keys, sent, **names) == Principal("beta", "4711", "jwt")


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE]])
async def test_one_of_the_audiences_is_ours(keys: IssuerKeys, audience: Any) -> None:
    """`aud` is a name or a list of names."""
    assert await come(keys, token(aud=audience)) == ALICE


@pytest.mark.parametrize(
    ("claim", "seconds"), [("exp", -50), ("nbf", 50), ("iat", 50), ("exp", 1), ("nbf", -9)]
)
async def test_clocks_may_differ_a_little(keys: IssuerKeys, claim: str, seconds: int) -> None:
    """Sixty seconds of leeway, both ways."""
    assert await come(keys, token(**{claim: int(time.time()) + seconds})) == ALICE


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
@pytest.mark.parametrize("expected", ["at+jwt", "application/at+jwt"])
async def test_the_type_in_all_its_spellings(keys: IssuerKeys, typ: str, expected: str) -> None:
    """Case does not matter, nor does the prefix that may be left out."""
    assert await come(keys, token(header={"typ": typ}), token_type=expected) == ALICE


@pytest.mark.parametrize("typ", [..., "JWT", "at+jwt", 7])
async def test_no_type_is_expected_unless_set(keys: IssuerKeys, typ: Any) -> None:
    """Without the setting, `typ` says nothing."""
    assert await come(keys, token(header={"typ": typ})) == ALICE


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer {}"},
        {"authorization": "bearer   {} "},
        {"authorization": "BEARER {}"},
        {"x-session-token": "{}"},
        {"x-session-token": " {} "},
        {"authorization": "Basic dXNlcjpwYXNz", "x-session-token": "{}"},
        {"authorization": "Bearer {}", "x-session-token": "{}"},
    ],
)
async def test_where_the_token_may_be(keys: IssuerKeys, headers: dict[str, str]) -> None:
    """In `Authorization` as Bearer, in `X-Session-Token`, or the same one in both."""
    sent = token()
    assert (
        await come_with(keys, {name: value.format(sent) for name, value in headers.items()})
        == ALICE
    )


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic dXNlcjpwYXNz"}, {"cookie": "a"}])
async def test_without_a_token_another_is_asked(
    keys: IssuerKeys, issuer: Issuer, headers: dict[str, str]
) -> None:
    """What is no token of ours is nobody's failure."""
    assert await JwtAuthenticator(config(), keys).authenticate(Credentials(headers, {})) is None
    assert issuer.fetches == 0


# Bad tokens


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer {0}", "x-session-token": "{1}"},
        {"authorization": "Bearer {0}", "x-session-token": ""},
        {"authorization": "Bearer {0}, Bearer {1}"},
        {"authorization": "Bearer {0} {1}"},
        {"x-session-token": "{0}, {0}"},
    ],
)
async def test_two_tokens_are_none(keys: IssuerKeys, headers: dict[str, str]) -> None:
    """It cannot be said who is asking, even when both are good."""
    two = token(), token(sub="bob")
    with pytest.raises(InvalidTokenError):
        await come_with(keys, {name: value.format(*two) for name, value in headers.items()})


CLAIMS: list[tuple[str, Any, str]] = [
    ("iss", "https://issuer.example", "The token is from another issuer."),
    ("iss", "https://ISSUER.example/", "The token is from another issuer."),
    ("iss", [ISSUER], "The token is from another issuer."),
    ("iss", ..., "The token is from another issuer."),
    ("aud", "other", "The token is for another audience."),
    ("aud", "chat2", "The token is for another audience."),
    ("aud", ["other", "CHAT"], "The token is for another audience."),
    ("aud", {"chat": 1}, "The token is for another audience."),
    ("aud", [], "The token lacks the claim 'aud'."),
    ("aud", ..., "The token lacks the claim 'aud'."),
    ("exp", timedelta(seconds=-70), "The token has expired."),
    ("exp", 0, "The token has expired."),
    ("exp", ..., "The token lacks the claim 'exp'."),
    ("exp", None, "The token lacks the claim 'exp'."),
    ("exp", "soon", MALFORMED),
    ("exp", float("inf"), MALFORMED),
    ("exp", float("nan"), MALFORMED),
    ("exp", {}, MALFORMED),
    ("nbf", timedelta(hours=1), "The token is not valid yet."),
    ("nbf", "x", MALFORMED),
    ("iat", timedelta(hours=1), "The token is not valid yet."),
    ("iat", [], MALFORMED),
    ("sub", ..., "The token lacks the claim 'sub'."),
    ("sub", None, MALFORMED),
    ("sub", 4711, MALFORMED),
    ("tenant", ..., "The token lacks the claim 'tenant'."),
    ("tenant", None, "The token lacks the claim 'tenant'."),
]


@pytest.mark.parametrize(("claim", "value", "reason"), CLAIMS, ids=repr)
async def test_each_claim_counts(keys: IssuerKeys, claim: str, value: Any, reason: str) -> None:
    """One wrong or missing claim is enough, whoever signed it."""
    if isinstance(value, timedelta):
        value = int(time.time() + value.total_seconds())
    assert await refused(keys, token(**{claim: value})) == reason


@pytest.mark.parametrize("claim", ["sub", "tenant"])
@pytest.mark.parametrize(
    "value", ["", " ", "a\0b", "a\nb", "\x7f", "\x85", "\u202e", "\ud800", "x" * 256]
)
async def test_names_are_names(keys: IssuerKeys, claim: str, value: str) -> None:
    """Empty ones, long ones and those with control characters name nobody."""
    reason = await refused(keys, token(**{claim: value}))
    assert reason.startswith(f"The claim '{claim}' of the token is not a name")


@pytest.mark.parametrize("value", [True, 7, ["acme"], {"a": 1}])
async def test_a_tenant_is_text(keys: IssuerKeys, value: Any) -> None:
    """What is not text is not replaced by the default either."""
    reason = await refused(keys, token(tenant=value), default_tenant="main")
    assert reason.startswith("The claim 'tenant' of the token is not a name")


@pytest.mark.parametrize("name", ["x" * 255, "Zoë O'Neill-王", "auth0|123", "a@b.example", "a/b"])
async def test_names_of_people(keys: IssuerKeys, name: str) -> None:
    """Letters of all scripts, spaces and signs are kept as they are."""
    assert await come(keys, token(sub=name, tenant=name)) == Principal(name, name, "jwt")


async def test_a_default_tenant(keys: IssuerKeys) -> None:
    """With the setting, tokens without a tenant belong to that one; the others to theirs."""
    missing = await come(keys, token(tenant=...), default_tenant="main")
    named = await come(keys, token(), default_tenant="main")
    assert (missing.tenant, named.tenant) == ("main", "acme")


@pytest.mark.parametrize("sent", [{"tenant": "local"}, {"tenant": ...}])
async def test_the_tenant_of_anonymous_users_is_theirs(keys: IssuerKeys, sent: Any) -> None:
    """No token leads to where users without one are."""
    changed = {"reserved_tenant": "local", "default_tenant": "local"}
    assert "not for users with tokens" in await refused(keys, token(**sent), **changed)


def forged() -> dict[str, str]:
    """Return one token of each kind that must not count."""
    good = token()
    head, body, signature = good.split(".")
    public = private_key("rsa").public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def unsigned(**header: Any) -> str:
        return f"{encoded(json.dumps({'kid': 'rsa'} | header).encode())}.{body}"

    hs256 = unsigned(alg="HS256", typ="JWT")
    hmac = HMACAlgorithm(HMACAlgorithm.SHA256).sign(hs256.encode(), pem)
    own = public_jwk("rsa2")
    url = "http://127.0.0.1:9/keys"
    return {
        "alg none": unsigned(alg="none") + ".",
        "alg none, with a signature": f"{unsigned(alg='none')}.{signature}",
        "alg None": f"{unsigned(alg='None')}.{signature}",
        "alg empty": f"{unsigned(alg='')}.{signature}",
        "alg missing": f"{unsigned()}.{signature}",
        "alg list": f"{unsigned(alg=['RS256'])}.{signature}",
        "alg not allowed": f"{unsigned(alg='RS512')}.{signature}",
        "HS256 with the public key": f"{hs256}.{encoded(hmac)}",
        "unknown kid": token("rsa2"),
        "kid of another key": token("rsa2", {"kid": "rsa"}),
        "kid of another kind of key": token(header={"kid": "ec"}),
        "algorithm of another kind": token("ed", {"kid": "ec"}),
        "no kid": token(header={"kid": ...}),
        "kid number": token(header={"kid": 1}),
        "kid path": token(header={"kid": "../../dev/null"}),
        "embedded jwk": token("rsa2", {"jwk": own, "kid": "rsa"}),
        "embedded jwk, no kid": token("rsa2", {"jwk": own, "kid": ...}),
        "jku": token("rsa2", {"jku": url}),
        "x5u": token("rsa2", {"x5u": url, "kid": "rsa"}),
        "x5c": token("rsa2", {"x5c": [encoded(pem)], "kid": "rsa"}),
        "crit": token(header={"crit": ["exp"]}),
        "crit b64": token(header={"crit": ["b64"], "b64": True}),
        "crit empty": token(header={"crit": []}),
        "b64": token(header={"b64": False}),
        "JWE": ".".join([encoded(b'{"alg":"RSA-OAEP","enc":"A256GCM"}'), *"abcd"]),
        "JWE of three": ".".join([encoded(b'{"alg":"dir","enc":"A256GCM"}'), body, signature]),
        "nested": sign("rsa", {"cty": "JWT"}, good.encode()),
        "too long": token(pad="x" * 8192),
        "other claims": f"{head}.{encoded(json.dumps(claims_of(sub='eve')).encode())}.{signature}",
        "other signature": f"{head}.{body}.{encoded(bytes(256))}",
        "short signature": f"{head}.{body}.AAAA",
        "no signature": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.{signature}",
        "nested dots": f"{head}..{body}.{signature}",
        "dots": "..",
        "more dots": "." * 100,
        "padding": f"{head}.{body}.{signature}==",
        "blank inside": f"{head}. {body}.{signature}",
        "tab inside": f"{head}.\t{body}.{signature}",
        "line break": f"{head}.{body}.\n{signature}",
        "other alphabet": f"{head}.{body}.{signature[:-2]}+/",
        "list for a header": f"{encoded(b'[]')}.{body}.{signature}",
        "text for a header": f"{encoded(b'RS256')}.{body}.{signature}",
        "header not UTF-8": f"{encoded(bytes([255, 254, 253]))}.{body}.{signature}",
        "deep header": f"{encoded(b'[' * 3000)}.{body}.{signature}",
        "deep claims": sign("rsa", {}, b"[" * 3000),
        "long number": sign("rsa", {}, b'{"exp":' + b"9" * 5000 + b"}"),
        "list for claims": sign("rsa", {}, b"[]"),
        "claims not JSON": sign("rsa", {}, b"{"),
        "empty": "",
        "word": "undefined",
        "not ASCII": "tökën.a.b",
        "surrogate": "\ud800.a.b",
    }


@pytest.mark.parametrize("name", forged())
async def test_what_is_no_token(keys: IssuerKeys, name: str) -> None:
    """Forged, broken and foreign tokens are refused, one reason each."""
    reason = await refused(keys, forged()[name])
    assert reason.endswith(".")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("alg none", MALFORMED),  # it lacks a part
        ("alg none, with a signature", "signed with an algorithm that is not allowed"),
        ("HS256 with the public key", "signed with an algorithm that is not allowed"),
        ("unknown kid", "a key that the issuer does not have"),
        ("kid of another key", "signature of the token is not valid"),
        ("embedded jwk", "signature of the token is not valid"),
        ("kid of another kind of key", "not for its algorithm"),
        ("no kid", "does not say which key"),
        ("jku", "a key that the issuer does not have"),
        ("crit", "demands an extension"),
        ("JWE", "Encrypted tokens are not supported"),
        ("too long", "longer than 8192 characters"),
        ("other claims", "signature of the token is not valid"),
    ],
)
async def test_the_reason_says_what_is_wrong(keys: IssuerKeys, name: str, reason: str) -> None:
    """Whoever sets this up can tell one mistake from another."""
    assert reason in await refused(keys, forged()[name])


@pytest.mark.parametrize("typ", [..., "JWT", "id+jwt", "text/at+jwt", "at+jwt;x", 7, None])
async def test_a_token_of_another_type(keys: IssuerKeys, typ: Any) -> None:
    """With the setting, only tokens of that type count."""
    reason = await refused(keys, token(header={"typ": typ}), token_type="at+jwt")
    assert reason == "The token is not of the type that is expected here."


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256K", "dir"])
def test_algorithms_that_cannot_be_allowed(algorithm: str) -> None:
    """Not even a program that builds the configuration itself gets them."""
    with pytest.raises(SettingsError, match=algorithm):
        JwtAuthenticator(config(algorithms=("RS256", algorithm)), IssuerKeys("http://h"))


async def test_nothing_is_asked_for_what_can_be_judged_alone(
    keys: IssuerKeys, issuer: Issuer
) -> None:
    """Garbage and tokens of another issuer cause no request."""
    for sent in ("garbage", forged()["alg none"], token(iss="https://other"), forged()["crit"]):
        await refused(keys, sent)
    assert issuer.fetches == 0


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sent=st.one_of(
        st.text(max_size=200),
        st.from_regex(r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}"),
        st.dictionaries(
            st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "b64", "enc"]),
            st.one_of(
                st.sampled_from(["RS256", "ES256", "EdDSA", "PS256", "rsa", "ec", "ed", "JWT"]),
                st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just([]),
            ),
        ).map(lambda header: ".".join([encoded(json.dumps(header).encode()), *_rest()])),
    )
)
def test_no_text_is_a_token(sent: str, tmp_path: Path) -> None:
    """Whatever is sent, it is refused as a token: no other error comes out."""
    del tmp_path
    keys = IssuerKeys("http://127.0.0.1:9/keys")
    document = {"keys": [public_jwk(name) for name in ("rsa", "ec", "ed")]}
    keys._keys, keys._fetched = jwks._read(json.dumps(document).encode()), time.monotonic()
    keys._missed = time.monotonic()
    with pytest.raises(InvalidTokenError):
        asyncio.run(come(keys, sent))


def _rest() -> list[str]:
    return [encoded(json.dumps(claims_of()).encode()), encoded(bytes(64))]


# Keys


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "EC"},
        {"kty": ["RSA"]},
        {"kty": None},
        {"kid": 7},
        {"kid": None},
        {"n": 7},
        {"n": "AQAB"},
        {"n": None},
        {"e": ""},
        {"d": "AQAB"},
        {"crv": "P-256"},
        {"crv": ["x"]},
        {"use": ["sig"]},
    ],
    ids=repr,
)
async def test_keys_of_no_use_are_passed_over(
    keys: IssuerKeys, issuer: Issuer, members: dict[str, Any]
) -> None:
    """A key that is for something else, broken or no secret any more does not count."""
    issuer.answer({"keys": ["x", None, public_jwk("rsa", **members), public_jwk("ec")]})
    assert await refused(keys, token()) == UNKNOWN_KEY
    assert await come(keys, token("ec")) == ALICE


async def test_short_keys_do_not_count(keys: IssuerKeys, issuer: Issuer) -> None:
    """RSA below 2048 bits is passed over, and would not verify anything either."""
    issuer.publish("weak", "ec")
    assert await refused(keys, token("weak")) == UNKNOWN_KEY


async def test_a_key_for_one_algorithm(keys: IssuerKeys, issuer: Issuer) -> None:
    """When the issuer says what a key is for, it is for that only."""
    issuer.answer({"keys": [public_jwk("rsa", alg="PS256"), public_jwk("ec", alg="ES256")]})
    assert "not for its algorithm" in await refused(keys, token())
    assert await come(keys, token("ec")) == ALICE


async def test_two_keys_with_one_id(keys: IssuerKeys, issuer: Issuer) -> None:
    """Two kinds of key may share an id; the algorithm tells which is meant."""
    issuer.publish("ec", "rsa", kid="both")
    assert await come(keys, token("rsa", {"kid": "both"})) == ALICE
    assert await come(keys, token("ec", {"kid": "both"})) == ALICE


# When the issuer is asked


async def test_keys_are_fetched_late_and_kept(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    """The first token has them fetched; for ten minutes nobody asks again."""
    assert issuer.fetches == 0
    for _ in range(20):
        await come(keys, token())
        await settled(keys)
        clock.now += 29
    assert issuer.fetches == 1


async def test_fifty_at_once_cause_one_fetch(keys: IssuerKeys, issuer: Issuer) -> None:
    """Everybody waits for the same answer."""
    issuer.gate.clear()
    coming = asyncio.gather(*(come(keys, token()) for _ in range(50)))
    await until(lambda: issuer.fetches)
    issuer.gate.set()
    assert len(await coming) == 50
    assert issuer.fetches == 1


async def test_who_leaves_does_not_take_the_keys_away(keys: IssuerKeys, issuer: Issuer) -> None:
    """The fetch goes on when the client that caused it is gone."""
    issuer.gate.clear()
    first = asyncio.create_task(come(keys, token()))
    await until(lambda: issuer.fetches)
    second = asyncio.create_task(come(keys, token()))
    await asyncio.sleep(0)
    first.cancel()
    issuer.gate.set()
    assert await second
    assert issuer.fetches == 1


async def test_old_keys_are_replaced_in_the_background(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    """After ten minutes a request has new ones fetched, and does not wait for them."""
    await come(keys, token())
    clock.now += 601
    issuer.gate.clear()
    issuer.publish("ec")
    await asyncio.gather(*(come(keys, token()) for _ in range(50)))
    issuer.gate.set()
    await settled(keys)
    assert await refused(keys, token()) == UNKNOWN_KEY
    assert issuer.fetches == 3  # the last for the key id that is unknown now


async def test_a_withdrawn_key_does_not_wait_for_traffic(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    """After a quiet time the first request waits for new keys: its own may be withdrawn."""
    await come(keys, token())
    clock.now += 12 * 3600
    issuer.publish("ec")
    assert await refused(keys, token()) == UNKNOWN_KEY
    assert issuer.fetches == 2


async def test_a_new_key_is_found_at_once(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    """Rotation needs neither a restart nor patience, and both keys may be in use."""
    await come(keys, token())
    clock.now += 1
    issuer.publish("rsa", "rsa2")
    await asyncio.gather(*(come(keys, token("rsa2")) for _ in range(20)))
    await come(keys, token())
    assert issuer.fetches == 2


async def test_made_up_key_ids_do_not_hammer_the_issuer(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    """One fetch in thirty seconds, however many ids come, at once or one after the other."""
    sent = [token(header={"kid": f"k{number}"}) for number in range(20)]
    for _ in range(6):
        reasons = await asyncio.gather(*(refused(keys, each) for each in sent))
        reasons += [await refused(keys, each) for each in sent]
        assert set(reasons) == {UNKNOWN_KEY}
        clock.now += 5
    assert issuer.fetches == 1
    for _ in range(5):
        await asyncio.gather(*(refused(keys, each) for each in sent))
        clock.now += 5
    assert issuer.fetches == 2


async def test_a_cold_start_without_the_issuer(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    """Nobody is called a liar while the keys cannot be had; afterwards all is well."""
    await issuer.stop()
    with pytest.raises(IssuerUnavailableError):
        await come(keys, token())
    await issuer.start()
    with pytest.raises(IssuerUnavailableError):
        await come(keys, token())  # asked a moment ago
    assert issuer.fetches == 0
    clock.now += 1
    assert await come(keys, token()) == ALICE


async def test_known_keys_outlive_the_issuer(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    """For a day after the last fetch; then nobody can be checked, until it is back."""
    await come(keys, token())
    await issuer.stop()
    for _ in range(23):
        clock.now += 3600
        assert await come(keys, token()) == ALICE
        await settled(keys)
    clock.now += 3600
    with pytest.raises(IssuerUnavailableError):
        await come(keys, token())
    await issuer.start()
    clock.now += 1
    assert await come(keys, token()) == ALICE


async def test_while_the_issuer_is_gone_it_is_asked_now_and_then(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    """One try in thirty seconds, for which nobody waits."""
    await come(keys, token())
    issuer.status = "500 Internal Server Error"
    clock.now += 601
    for _ in range(60):
        await come(keys, token())
        await settled(keys)
        clock.now += 1
    assert issuer.fetches == 3


async def test_a_new_key_while_the_issuer_is_gone(keys: IssuerKeys, issuer: Issuer) -> None:
    """It may be a good one: try again later, not sign in again. Known ones are checked."""
    await come(keys, token())
    await issuer.stop()
    for _ in range(3):
        with pytest.raises(IssuerUnavailableError):
            await come(keys, token("rsa2"))
    assert await come(keys, token()) == ALICE


async def _redirect(issuer: Issuer) -> None:
    other = issuer.url.replace("/keys", "/elsewhere")
    issuer.status, issuer.headers = "302 Found", f"Location: {other}\r\n"


async def _slow(issuer: Issuer) -> None:
    issuer.gate.clear()


async def _zipped(issuer: Issuer) -> None:
    issuer.body, issuer.headers = gzip.compress(issuer.body), "Content-Encoding: gzip\r\n"


def _answers(document: object) -> Callable[[Issuer], Any]:
    async def change(issuer: Issuer) -> None:
        issuer.answer(document)

    return change


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (Issuer.stop, "it did not answer (ConnectError)"),
        (_slow, "it did not answer (TimeoutError)"),
        (_redirect, "status 302; the setting must be the final address"),
        (_zipped, "its answer is compressed"),
        (_answers(b"<html>"), "its answer is not JSON"),
        (_answers(b"[" * 100_000), "its answer is not JSON"),
        (_answers(b"\xff\xfe\xfd"), "its answer is not JSON"),
        (_answers([]), "its answer is not a JWKS document"),
        (_answers({"keys": {}}), "its answer is not a JWKS document"),
        (_answers({"keys": [], "x": "x" * 262_144}), "its answer is longer than 262144 bytes"),
        (_answers({"keys": [{"kty": "oct"}]}), "there is no key for signatures in its answer"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
async def test_a_probe_says_what_is_wrong(
    keys: IssuerKeys,
    issuer: Issuer,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Issuer], Any],
    hint: str,
) -> None:
    """The user is told to try again; the operator, why."""
    if change is _slow:
        monkeypatch.setattr(jwks, "_DEADLINE", 0.3)
    await change(issuer)
    with pytest.raises(IssuerUnavailableError) as caught:
        await keys.probe()
    assert str(caught.value) == IssuerUnavailableError.__doc__
    assert hint in (caught.value.hint or "")
    assert issuer.fetches <= 1


async def test_a_bad_answer_does_not_replace_good_keys(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    """An error page in place of the keys is like no answer."""
    await come(keys, token())
    issuer.answer(b"<html>")
    clock.now += 3600
    assert await come(keys, token()) == ALICE
    with pytest.raises(IssuerUnavailableError):
        await keys.probe()
    assert await come(keys, token()) == ALICE


async def test_a_good_probe(keys: IssuerKeys) -> None:
    """Nothing is said."""
    await keys.probe()


async def test_closing_gives_up_a_fetch(keys: IssuerKeys, issuer: Issuer) -> None:
    """Nothing is left running; closing twice does no harm."""
    issuer.gate.clear()
    waiting = asyncio.create_task(come(keys, token()))
    await until(lambda: issuer.fetches)
    await keys.aclose()
    await keys.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_nothing_of_a_token_is_logged(
    keys: IssuerKeys,
    issuer: Issuer,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither of good ones nor of bad ones, also while the issuer fails."""
    caplog.set_level(logging.DEBUG)
    sent = [token(), *(each for each in forged().values() if each.isascii() and len(each) > 100)]
    reasons = []
    for step in (None, issuer.stop):
        if step:
            await step()
        for each in sent:
            try:
                await come(keys, each)
                clock.now += 31
            except ChatkeepError as error:
                reasons.append(str(error))
    out, err = capfd.readouterr()
    said = "\n".join([*reasons, *caplog.messages, caplog.text, out, err])
    assert "no keys from the token issuer" in said
    for each in sent:
        assert not any(len(part) > 20 and part in said for part in each.split("."))


# Building


async def test_the_ways_that_are_open(tmp_path: Path) -> None:
    """A token is looked at before a cookie; nothing is asked or written that is not needed."""
    data = tmp_path / "data"
    tokens = open_authenticators(AuthConfig(data, anonymous=False, jwt=config()))
    assert [type(each).__name__ for each in tokens.chain] == ["JwtAuthenticator"]
    assert list(tokens.probes) == ["issuer"]
    assert not data.exists()
    both = open_authenticators(AuthConfig(data, jwt=config()))
    assert [type(each).__name__ for each in both.chain] == [
        "JwtAuthenticator",
        "AnonymousAuthenticator",
    ]
    assert not open_authenticators(AuthConfig(data)).probes
    await both.aclose()


async def settled(keys: IssuerKeys) -> None:
    """Wait for a fetch in the background."""
    await until(lambda: not keys._task)
