"""The table of providers, and its page."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from chatkeep.models.profiles import PROFILES, Profile

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()


def rows(name: str, profile: Profile) -> list[str]:
    """The rows of the page for a provider."""
    api = "Responses" if profile.responses_api else "chat completions"
    key = f"`{profile.key_name}`" if profile.key_name else "if it wants one"
    model = f"`{profile.default_model}`" if profile.default_model else "the first it lists"
    taken = [kind for kind in ("images", "files") if getattr(profile, kind)]
    cells = [
        ", ".join(taken) or "text only",
        "yes" if profile.parallel_tools else "by itself",
        profile.json,
        f"`{profile.effort}`" if profile.effort else "no",
        profile.stream_usage,
        profile.thoughts,
    ]
    return [
        f"| `{name}` | {profile.label} | {api} | {key} | {model} |",
        f"| `{name}` | {' | '.join(cells)} |",
        f"| `{name}` | {profile.checked} |",
    ]


def test_the_page_has_every_provider() -> None:
    """Its rows are those of the table, and no others."""
    found = re.findall(r"^\| `.+$", PAGE, re.MULTILINE)
    expected = [row for name, profile in PROFILES.items() for row in rows(name, profile)]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("name", PROFILES)
def test_entries(name: str) -> None:
    """Addresses are addresses, keys are keys, and ids that are made fit where they go."""
    profile = PROFILES[name]
    if profile.base_url:
        parts = urlsplit(profile.base_url)
        assert parts.scheme == "https" or parts.hostname == "127.0.0.1"
    if profile.key_name:
        assert re.fullmatch("[A-Z]+(_[A-Z]+)*_API_KEY", profile.key_name)
    assert re.fullmatch(profile.call_ids, "AbCdEf123")
    assert profile.context_tokens >= 4_096
