"""Where settings come from, which of them wins, and how a wrong one stops the start."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from chatkeep import Settings, load_settings
from chatkeep.errors import SettingsError
from chatkeep.settings import ALIASES, Auth, unknown_names, walk

SECRET = "sk-very-secret-4711"

JWT = {
    "CHATKEEP_AUTH_MODE": "jwt",
    "CHATKEEP_AUTH_ISSUER": "https://issuer.example/",
    "CHATKEEP_AUTH_JWKS_URL": "https://issuer.example/keys",
    "CHATKEEP_AUTH_AUDIENCE": "chat",
}

type Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Read settings from a directory of the test, given as texts."""

    def load(
        toml: str = "", *, dotenv: str = "", overrides: dict[str, object] | None = None, **env: str
    ) -> Settings:
        (tmp_path / "chatkeep.toml").write_text(toml)
        (tmp_path / ".env").write_text(dotenv)
        return load_settings(environ=env, directory=tmp_path, overrides=overrides)

    return load


def refused(load: Load, *args: str, **env: str) -> str:
    """Return the message of the refusal, which is one line."""
    with pytest.raises(SettingsError) as caught:
        load(*args, **env)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_nothing_needs_to_be_set(load: Load) -> None:
    """Without any source the server listens on this machine only, for anonymous users."""
    settings = load()
    assert settings == Settings()
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8000)
    assert settings.auth.mode == ("anonymous",)


def test_the_stronger_source_wins(load: Load) -> None:
    """Defaults give way to the file, it to `.env`, that to the environment, that to options."""
    file, dotenv, overrides = "server.port = 1", "PORT=2", {"server.port": 4}
    assert load(file).server.port == 1
    assert load(file, dotenv=dotenv).server.port == 2
    assert load(file, dotenv=dotenv, PORT="3").server.port == 3
    assert load(file, dotenv=dotenv, PORT="3", overrides=overrides).server.port == 4


def test_an_option_that_was_not_given_says_nothing(load: Load) -> None:
    """None among the overrides leaves the other sources in force."""
    assert load(PORT="3", overrides={"server.port": None}).server.port == 3


def test_the_process_environment_is_read_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without arguments, the environment and the working directory are the sources."""
    (tmp_path / "chatkeep.toml").write_text("log.level = 'debug'")
    monkeypatch.setenv("PORT", "8123")
    settings = load_settings()
    assert (settings.log.level, settings.server.port) == ("debug", 8123)


@pytest.mark.parametrize("dotted", [dotted for dotted, _ in walk(Settings())])
def test_every_field_has_a_name_in_the_environment(load: Load, dotted: str) -> None:
    """`section.field` can be set as CHATKEEP_SECTION_FIELD."""
    values = {
        "server.host": "localhost",
        "server.port": "1",
        "server.cors_origins": "https://a",
        "server.max_body_bytes": "2048",
        "server.max_import_bytes": "2048",
        "auth.mode": "anonymous,jwt",
        "turns.on_disconnect": "cancel",
        "turns.when_busy": "queue",
        "admin.token": "0123456789abcdef0123456789abcdef",
        "auth.jwks_url": "https://other/keys",
        "auth.algorithms": "ES256",
        "server.public_url": "https://a",
        "files.allowed_types": "text/*",
        "models.provider": "tour",
        "models.openai_base_url": "http://a",
        "models.offered": '[{"id": "a", "provider": "tour"}]',
        "models.endpoints": '{"a": {"base_url": "http://a"}}',
        "models.tries": "1",
        "models.on_break": "restart",
        "models.tour": "false",
        "models.context_tokens": "2048",
        "models.titles": "words",
        "models.summaries": "on",
        "cache.max_bytes": "65536",
        "telemetry.agent_spans": "log",
        "models.currency": "EUR",
        "models.prices": '{"openai/x": {"input": 1, "output": 2}}',
        "budgets.tenants": '{"acme": {"user_day_tokens": 1}}',
        "retention.tenants": "acme=30",
        "log.format": "json",
        "log.level": "debug",
    }
    name = "CHATKEEP_" + dotted.replace(".", "_").upper()
    others = JWT if dotted.startswith("auth.") else {}  # signing in takes several settings
    before = dict(walk(load(**others)))
    after = walk(load(**(others | {name: values.get(dotted, "7")})))
    changed = {field for field, value in after if before[field] != value}
    assert changed == {dotted}


@pytest.mark.parametrize(("alias", "dotted"), ALIASES.items())
def test_an_alias_stands_for_its_field(load: Load, alias: str, dotted: str) -> None:
    """A name that people already use sets the same field as the long one."""
    values = {
        "server.host": "localhost",
        "server.port": "1",
        "server.cors_origins": "https://a",
        "models.provider": "tour",
        "models.openai_base_url": "http://a",
    }
    value = values.get(dotted, "7")
    long = "CHATKEEP_" + dotted.replace(".", "_").upper()
    assert load(**{alias: value}) == load(**{long: value}) != Settings()


def test_a_comma_list_is_a_list(load: Load) -> None:
    """Blanks and empty entries do not count; a TOML list is the same."""
    expected = ("https://a.example", "http://b:8080")
    assert load(CORS_ORIGINS=" https://a.example, ,http://b:8080,").server.cors_origins == expected
    toml = "server.cors_origins = ['https://a.example', 'http://b:8080']"
    assert load(toml).server.cors_origins == expected


def test_a_table_by_commas(load: Load) -> None:
    """Numbers for names, of which one may have a sign of equality; a TOML table is the same."""
    expected = {"acme": 30, "a=b c": 0}
    value = " acme = 30, ,a=b c=0,"
    assert load(CHATKEEP_RETENTION_TENANTS=value).retention.tenants == expected
    toml = "[retention]\ndays = 7\n[retention.tenants]\nacme = 30\n'a=b c' = 0"
    assert load(toml).retention.tenants == expected
    assert load(toml).retention.days == 7


@pytest.mark.parametrize(
    "value", ["acme", "=3", "acme=", "acme=-1", "acme=x", "a=1,a=2", "a=36501"]
)
def test_what_is_no_table_is_refused(load: Load, value: str) -> None:
    """A misspelt entry stops the start: it would keep for ever, or delete too early."""
    assert refused(load, CHATKEEP_RETENTION_TENANTS=value).startswith(
        "retention.tenants (environment variable CHATKEEP_RETENTION_TENANTS)"
    )


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5"])
def test_days_are_a_number(load: Load, value: str) -> None:
    """Zero days would delete everything at once."""
    assert refused(load, CHATKEEP_RETENTION_DAYS=value).startswith("retention.days")


def test_an_origin_is_written_as_browsers_send_it(load: Load) -> None:
    """Case and a final slash do not matter: both readers of the list compare exactly."""
    assert load(CORS_ORIGINS="HTTPS://A.Example/").server.cors_origins == ("https://a.example",)


@pytest.mark.parametrize(
    "origin", ["*", "null", "a.example", "ftp://a", "https://a/path", "https://u@a", "https://a?b"]
)
def test_what_is_no_origin_is_refused(load: Load, origin: str) -> None:
    """An entry that could never match, or that would match everything, stops the start."""
    assert refused(load, CORS_ORIGINS=origin).startswith(
        "server.cors_origins (environment variable CORS_ORIGINS)"
    )


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_environment_value_is_unset(load: Load, value: str | None) -> None:
    """An empty variable, as compose files make them, does not hide a weaker source."""
    env = {} if value is None else {"PORT": value, "OPENAI_API_KEY": value}
    settings = load("server.port = 5", **env)
    assert settings.server.port == 5
    assert settings.models.openai_api_key is None


def test_a_secret_comes_from_a_mounted_file(load: Load, tmp_path: Path) -> None:
    """NAME_FILE names a file with the value; the line break at its end is not part of it."""
    (tmp_path / "key").write_text(f"{SECRET}\n")
    key = load(OPENAI_API_KEY_FILE=str(tmp_path / "key")).models.openai_api_key
    assert key is not None
    assert key.get_secret_value() == SECRET


def test_an_empty_mounted_file_is_unset(load: Load, tmp_path: Path) -> None:
    """A file without content says nothing."""
    (tmp_path / "key").write_text("\n")
    assert load(OPENAI_API_KEY_FILE=str(tmp_path / "key")).models.openai_api_key is None


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (b"\xff\xfe", "not UTF-8")]
)
def test_a_mounted_file_that_cannot_be_read_stops_the_start(
    load: Load, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    """The message names the variable and the reason."""
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    message = refused(load, OPENAI_API_KEY_FILE=str(path))
    assert message.startswith("environment variable OPENAI_API_KEY_FILE: ")
    assert reason in message


def test_a_key_in_place_of_a_file_name_is_not_shown(load: Load) -> None:
    """Who puts the key itself into NAME_FILE does not find it in the log."""
    assert SECRET not in refused(load, OPENAI_API_KEY_FILE=SECRET)


def test_a_value_and_a_file_contradict(load: Load, tmp_path: Path) -> None:
    """NAME and NAME_FILE together are refused."""
    message = refused(load, GEMINI_API_KEY=SECRET, GEMINI_API_KEY_FILE=str(tmp_path))
    assert "GEMINI_API_KEY and GEMINI_API_KEY_FILE are both set; set one of them" in message
    assert SECRET not in message


def test_two_names_for_one_field_must_agree(load: Load) -> None:
    """Two names of a field in one source: equal values are fine, different ones are refused."""
    assert load(PORT="1", CHATKEEP_SERVER_PORT="1").server.port == 1
    message = refused(load, OPENAI_API_KEY=SECRET, CHATKEEP_MODELS_OPENAI_API_KEY="other")
    assert "OPENAI_API_KEY" in message
    assert "CHATKEEP_MODELS_OPENAI_API_KEY contradict each other" in message
    assert SECRET not in message


def test_sources_may_differ(load: Load) -> None:
    """A long name in `.env` and the alias in the environment are no contradiction."""
    assert load(dotenv="CHATKEEP_SERVER_PORT=1", PORT="2").server.port == 2


@pytest.mark.parametrize("toml", ["prot = 1", "server.prot = 1", "[sever]\nport = 1"])
def test_an_unknown_key_in_the_file_stops_the_start(load: Load, toml: str) -> None:
    """A misspelt key is no setting, and the message lists those there are."""
    message = refused(load, toml)
    assert "unknown setting" in message
    assert "chatkeep.toml" in message
    assert all(dotted in message for dotted, _ in walk(Settings()))


@pytest.mark.parametrize(
    "toml",
    [
        'models = "x"',
        "server = [1]",
        "[[server]]\nport = 1",
        'server.port = "abc"',
        "[server.port]\nport = 1",
        "server.port = [1]",
        "server.port = 80.5",
        "server.host = 1",
        "server.cors_origins = [1]",
        "server.cors_origins = 1",
        "data_dir = [1]",
        "[data_dir]\nx = 1",
        "shutdown.grace = nan",
        "shutdown.grace = 0",
        "shutdown.grace = 'soon'",
        "models.tour = 2",
        "models.name = ''",
        "models.provider = 'claude'",
        "models.context_tokens = 1023",
        "log.level = 'INFO'",
        "database.url = 5",
    ],
)
def test_a_wrong_type_in_the_file_is_one_line(load: Load, toml: str) -> None:
    """Field, file and what was expected, whatever stands there."""
    field = toml.partition("=")[0].split("]")[0].strip("[ ")
    message = refused(load, toml)
    assert field in message
    assert "chatkeep.toml" in message
    assert "expected " in message or "the settings are: " in message


@pytest.mark.parametrize("content", [b"server.port =", b"\xff", b"[server\n", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_one_line(tmp_path: Path, content: bytes) -> None:
    """The message names the file."""
    path = tmp_path / "chatkeep.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"chatkeep\.toml: ") as caught:
        load_settings(environ={}, directory=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    """`--config` with a file that is not there is an error; the default file may be missing."""
    assert load_settings(environ={}, directory=tmp_path) == Settings()
    with pytest.raises(SettingsError, match="there is no such settings file"):
        load_settings(environ={}, directory=tmp_path, file=tmp_path / "other.toml")


def test_a_named_file_replaces_the_default_one(tmp_path: Path) -> None:
    """Only one settings file is read."""
    (tmp_path / "chatkeep.toml").write_text("server.port = 1")
    (tmp_path / "other.toml").write_text("log.level = 'debug'")
    settings = load_settings(environ={}, directory=tmp_path, file=tmp_path / "other.toml")
    assert (settings.server.port, settings.log.level) == (8000, "debug")


def test_a_directory_in_place_of_the_file_is_one_line(tmp_path: Path) -> None:
    """What cannot be read is named with the reason."""
    (tmp_path / "chatkeep.toml").mkdir()
    with pytest.raises(SettingsError, match=r"chatkeep\.toml: cannot be read \(Is a directory\)"):
        load_settings(environ={}, directory=tmp_path)


def test_a_dotenv_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    """`.env` in another encoding stops the start without a traceback."""
    (tmp_path / ".env").write_bytes("PORT=1 # größer".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"\.env: cannot be read \(not UTF-8\)"):
        load_settings(environ={}, directory=tmp_path)


def test_a_wrong_value_in_dotenv_names_the_file(load: Load) -> None:
    """The source of a value is its file and its name there."""
    with pytest.raises(SettingsError, match=r"server\.port \(.*\.env: PORT\): "):
        load(dotenv="PORT=abc")


@pytest.mark.parametrize("port", ["-1", "65536", "abc", " ", "1e400", "9" * 5000])
def test_a_port_is_within_bounds(load: Load, port: str) -> None:
    """What is no port is refused with the field, the source and the remedy."""
    message = refused(load, PORT=port)
    assert message.startswith("server.port (environment variable PORT): ")
    assert message.endswith("expected a port from 1 to 65535, or 0 for any")


@pytest.mark.parametrize("port", ["0", "1", "65535"])
def test_the_bounds_themselves_are_ports(load: Load, port: str) -> None:
    """0 means any port."""
    assert load(PORT=port).server.port == int(port)


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "::",
        "[::]",
        "192.168.1.5",
        "10.0.0.1",
        "example.com",
        "localhost.evil.com",
        "127.0.0.1.evil.com",
        "0",
        "127.1",
        "evil\nhost",
        "fe80::1",
        "::ffff:192.168.1.5",
        " ",
    ],
)
def test_anonymous_users_only_on_loopback(load: Load, host: str) -> None:
    """An address that others can reach is refused, with the remedy."""
    message = refused(load, HOST=host)
    assert message.startswith("server.host: ")
    assert "set HOST=127.0.0.1" in message


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]"])
def test_loopback_addresses_are_fine(load: Load, host: str) -> None:
    """Every address of this machine alone may be listened on."""
    assert load(HOST=host).server.host == host


@pytest.mark.parametrize("mode", [",", " , "])
def test_no_authentication_at_all_is_no_mode(load: Load, mode: str) -> None:
    """An empty list must not be a way around the loopback rule."""
    assert refused(load, CHATKEEP_AUTH_MODE=mode, HOST="0.0.0.0").startswith("auth.mode ")
    assert refused(load, "auth.mode = []").startswith("auth.mode ")


@pytest.mark.parametrize("mode", ["oidc", "key", "proxy", "anonymous,oidc", "none", "JWT"])
def test_an_unknown_way_to_authenticate_is_refused(load: Load, mode: str) -> None:
    """A mode of a later version does not fall back to another one."""
    message = refused(load, **(JWT | {"CHATKEEP_AUTH_MODE": mode}))
    assert message.startswith("auth.mode (environment variable CHATKEEP_AUTH_MODE): ")
    assert "'anonymous' or 'jwt'" in message


def test_tokens_turn_anonymous_users_off(load: Load) -> None:
    """Only who names both modes gets both; with tokens alone any address may be listened on."""
    assert load(**JWT, HOST="0.0.0.0").auth.mode == ("jwt",)
    both = JWT | {"CHATKEEP_AUTH_MODE": "anonymous, jwt"}
    assert load(**both).auth.mode == ("anonymous", "jwt")
    message = refused(load, **both, HOST="0.0.0.0")
    assert message.startswith("server.host: ")
    assert "CHATKEEP_AUTH_MODE=jwt" in message


@pytest.mark.parametrize("missing", [name for name in JWT if name != "CHATKEEP_AUTH_MODE"])
def test_tokens_need_to_be_checked_somehow(load: Load, missing: str) -> None:
    """Without issuer, keys or audience there is no start, and the line says what to set."""
    message = refused(load, **{name: value for name, value in JWT.items() if name != missing})
    assert message == f"auth.mode: jwt needs more settings; set {missing}"


def test_all_that_is_missing_is_said_at_once(load: Load) -> None:
    """The mode alone is answered with the three names; so is a tree made in Python."""
    expected = "CHATKEEP_AUTH_ISSUER, CHATKEEP_AUTH_JWKS_URL, CHATKEEP_AUTH_AUDIENCE"
    assert refused(load, CHATKEEP_AUTH_MODE="jwt").endswith(expected)
    with pytest.raises(ValidationError, match=expected):
        Auth(mode=("jwt",))


def test_an_issuer_that_nobody_asks_is_a_contradiction(load: Load) -> None:
    """Who names an issuer wants users to sign in; anonymous ones would be a surprise."""
    message = refused(load, CHATKEEP_AUTH_ISSUER="https://issuer.example/")
    assert message.startswith("auth.mode: CHATKEEP_AUTH_ISSUER would have no effect")
    assert message.endswith("set CHATKEEP_AUTH_MODE=jwt")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512", "None", "ES256K", "RS1", ","])
def test_only_asymmetric_algorithms(load: Load, algorithm: str) -> None:
    """With a shared secret, whoever checks tokens could make them."""
    for value in (algorithm, f"RS256,{algorithm}")[: 1 if algorithm == "," else 2]:
        message = refused(load, **JWT, CHATKEEP_AUTH_ALGORITHMS=value)
        assert message.startswith("auth.algorithms ")


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/keys",
        "http://10.0.0.1/keys",
        "http://localhost.evil.example/keys",
        f"https://user:{SECRET}@issuer.example/keys",
        "ftp://localhost/keys",
        "file:///keys",
        "keys",
    ],
)
def test_keys_come_over_a_safe_way(load: Load, url: str) -> None:
    """Plain http is for loopback only, and nothing secret is in the URL."""
    message = refused(load, **(JWT | {"CHATKEEP_AUTH_JWKS_URL": url}))
    assert message.startswith("auth.jwks_url (environment variable CHATKEEP_AUTH_JWKS_URL): ")
    assert SECRET not in message


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/k", "http://localhost/k", "http://[::1]/k"])
def test_keys_of_this_machine_may_come_by_http(load: Load, url: str) -> None:
    """Nobody listens on loopback."""
    assert load(**(JWT | {"CHATKEEP_AUTH_JWKS_URL": url})).auth.jwks_url == url


@pytest.mark.parametrize("tenant", [" ", "a\nb", "x" * 256, "\u202e"])
def test_a_default_tenant_is_a_name(load: Load, tenant: str) -> None:
    """What no token may say, the settings may not say either."""
    message = refused(load, **JWT, CHATKEEP_AUTH_DEFAULT_TENANT=tenant)
    assert message.startswith("auth.default_tenant ")


@pytest.mark.parametrize(
    "url",
    [
        "host/v1",
        "ftp://host",
        "http://",
        "http:///v1",
        "http://[::1",
        "http://h:abc",
        "http:// h",
        "http://h:99999",
        "http://h\n.x",
        "file:///etc/passwd",
        f"http://user:{SECRET}",
    ],
)
def test_a_base_url_is_a_url(load: Load, url: str) -> None:
    """A URL that no request can be sent to stops the start, and none of it is shown."""
    message = refused(load, OPENAI_BASE_URL=url)
    assert message.startswith("models.openai_base_url (environment variable OPENAI_BASE_URL): ")
    assert SECRET not in message


@pytest.mark.parametrize("url", ["http://h", "https://h:1/v1/", "http://[::1]:1/v1", "HTTP://h"])
def test_urls_of_servers_are_taken(load: Load, url: str) -> None:
    """Names and addresses, with port and path or without."""
    assert load(OPENAI_BASE_URL=url).models.openai_base_url == url


@pytest.mark.parametrize("toml", ["= {a = '%s'}", "= ['%s']", "= ['%s', 1]", ".sk = '%s'"])
@pytest.mark.parametrize("field", ["models.openai_api_key", "database.url"])
def test_a_secret_of_the_wrong_type_is_not_shown(load: Load, field: str, toml: str) -> None:
    """A table or list in place of a secret is refused without what is in it."""
    message = refused(load, f"{field} {toml.replace('%s', SECRET)}".replace(" .", "."))
    assert field in message
    assert SECRET not in message


@pytest.mark.parametrize("key", ["%s…", "%s\nx", "\udcff%s", "%s\x00"])
def test_a_key_that_no_header_can_carry_is_refused(load: Load, key: str) -> None:
    """A key with a pasted ellipsis or line break is found at the start, and is not shown."""
    message = refused(load, OPENROUTER_API_KEY=key.replace("%s", SECRET))
    assert message.startswith("models.openrouter_api_key ")
    assert SECRET not in message


def test_blanks_around_a_key_do_not_count(load: Load) -> None:
    """A key is used without the blanks it was pasted with."""
    key = load(GEMINI_API_KEY=f" {SECRET}\r\n").models.gemini_api_key
    assert key is not None
    assert key.get_secret_value() == SECRET


def test_secrets_are_not_in_any_text(load: Load) -> None:
    """Neither repr nor str nor a dump of the settings shows a key or the database's password."""
    settings = load(
        OPENAI_API_KEY=SECRET,
        OPENROUTER_API_KEY=SECRET,
        GEMINI_API_KEY=SECRET,
        DATABASE_URL=f"postgresql://u:{SECRET}@h/d",
    )
    texts = [repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()]
    texts += [str(value) for _, value in walk(settings)]
    assert not [text for text in texts if SECRET in text]


def test_secrets_are_not_in_a_chained_error(load: Load) -> None:
    """A wrong value elsewhere does not show a key beside it, nor do the causes."""
    with pytest.raises(SettingsError) as caught:
        load(f"models.openai_api_key = ['{SECRET}']")
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__


def test_settings_are_frozen() -> None:
    """What was read once does not change."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().server.port = 1  # type: ignore[misc]


def test_unknown_names_are_only_reported(load: Load) -> None:
    """A `CHATKEEP_` name that means nothing is listed, and does not stop the start."""
    env = {
        "CHATKEEP_SERVICE_HOST": "10.0.0.1",
        "CHATKEEP_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "CHATKEEP_SERVER_PROT": "1",
        "CHATKEEP_SERVER_PORT": "1",
        "CHATKEEP_MODELS_OPENAI_API_KEY_FILE": "",
        "CHATKEEP_PROVIDER": "tour",
        "CHATKEEP_TEST_SEED": "1",
        "PORT": "1",
        "PATH": "/bin",
    }
    assert load(**env).server.port == 1
    assert unknown_names(env) == [
        "CHATKEEP_PORT_8000_TCP",
        "CHATKEEP_SERVER_PROT",
        "CHATKEEP_SERVICE_HOST",
    ]
