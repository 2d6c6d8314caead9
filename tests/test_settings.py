from __future__ import annotations

from pathlib import Path

import pytest

from ai_investment.settings import InvalidSettings, read_settings

GOOD = {"SECRET_KEY": "a" * 32, "JWT_SECRET_KEY": "b" * 32}


def faults(environ: dict[str, str]) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        read_settings(environ)
    return caught.value.faults


def test_every_fault_is_listed_at_once() -> None:
    found = faults(
        {
            "API_PORT": "soon",
            "REDIS_URL": "not a url",
            "AI_INVESTMENT_COLOUR": "red",
            "LOG_LEVEL": "LOUD",
        }
    )
    assert len(found) == 4
    for name in ("API_PORT", "REDIS_URL", "AI_INVESTMENT_COLOUR", "LOG_LEVEL"):
        assert any(fault.startswith(f"{name}:") for fault in found)


def test_values_have_their_types_and_the_rest_their_defaults() -> None:
    settings = read_settings(
        {"API_PORT": "9000", "API_DEBUG": "true", "AI_INVESTMENT_DATA_DIRECTORY": "/srv"}
    )
    assert (settings.api_port, settings.api_debug, settings.api_host) == (9000, True, "127.0.0.1")
    assert settings.object_directory == Path("/srv/objects")


def test_a_secret_may_be_a_mounted_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-from-a-file\n")
    assert (
        read_settings({"OPENAI_API_KEY_FILE": str(tmp_path / "key")}).openai_api_key
        == "sk-from-a-file"
    )


def test_a_value_and_its_file_together_and_an_unreadable_file_are_faults(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x")
    assert (
        "keep one"
        in faults({"OPENAI_API_KEY": "y", "OPENAI_API_KEY_FILE": str(tmp_path / "key")})[0]
    )
    assert "cannot read" in faults({"SECRET_KEY_FILE": str(tmp_path / "none")})[0]


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY"),
        ({"SECRET_KEY": "short"}, "5 characters, needs 32"),
        ({"JWT_SECRET_KEY": "a" * 32}, "the same as SECRET_KEY"),
        ({"API_DEBUG": "true"}, "API_DEBUG"),
        ({"AI_INVESTMENT_LOCAL_USER": "true"}, "AI_INVESTMENT_LOCAL_USER"),
        ({"FETCH_ALLOWED_PRIVATE_HOSTS": "10.0.0.5:80"}, "FETCH_ALLOWED_PRIVATE_HOSTS"),
    ],
)
def test_production_refuses_what_is_unsafe(changed: dict[str, str], word: str) -> None:
    found = faults({"AI_INVESTMENT_ENVIRONMENT": "production", **GOOD, **changed})
    assert any(word in fault for fault in found)


def test_production_without_secrets_is_refused_and_with_them_accepted() -> None:
    assert len(faults({"AI_INVESTMENT_ENVIRONMENT": "production"})) == 2
    assert read_settings({"AI_INVESTMENT_ENVIRONMENT": "production", **GOOD}).production


def test_the_local_user_needs_a_loopback_address() -> None:
    assert "loopback" in faults({"AI_INVESTMENT_LOCAL_USER": "true", "API_HOST": "0.0.0.0"})[0]


def test_no_secret_shows_when_settings_or_their_faults_are_printed() -> None:
    secret = "hunter2-hunter2"
    settings = read_settings({"SECRET_KEY": secret, "REDIS_URL": f"redis://:{secret}@h/0"})
    assert secret not in repr(settings)
    assert all(secret not in fault for fault in faults({"REDIS_URL": secret, "SECRET_KEY": secret}))


@pytest.mark.parametrize("port", ["8000", "-1", "65536"])
def test_the_internal_listener_has_a_port_of_its_own(port: str) -> None:
    [fault] = faults({"METRICS_PORT": port})
    assert fault.startswith("METRICS_PORT:")


def test_the_models_cache_may_stand_outside_the_data_folder() -> None:
    assert read_settings({}).model_cache == Path("data/models")
    elsewhere = {"AI_INVESTMENT_MODEL_DIRECTORY": "/usr/share/models"}
    assert read_settings(elsewhere).model_cache == Path("/usr/share/models")


def test_private_hosts_are_a_list_of_host_and_port() -> None:
    settings = read_settings(
        {"FETCH_ALLOWED_PRIVATE_HOSTS": "Wiki.local:80, 10.0.0.5:8080 [::1]:80"}
    )
    assert settings.private_hosts == {"wiki.local:80", "10.0.0.5:8080", "::1:80"}
    for wrong in ("wiki.local", "http://wiki.local:80", "::1:80"):
        assert "host:port" in faults({"FETCH_ALLOWED_PRIVATE_HOSTS": wrong})[0]
