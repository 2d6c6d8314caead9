"""Settings: one frozen object, read once from the environment, every fault listed at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec

_INSECURE = "insecure-development-secret-change-me"
_ENVIRONMENTS = ("development", "production")
_MIN_SECRET = 32


class InvalidSettings(Exception):
    """The environment does not describe a valid configuration; `faults` holds one line each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def _setting(default: Any, env: str, doc: str, *, secret: bool = False) -> Any:
    _HELP.append((env, doc, default, secret))
    return default


_HELP: list[tuple[str, str, Any, bool]] = []


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator may set. Field names are the variable names in lower case."""

    ai_investment_environment: Literal["development", "production"] = _setting(
        "development", "AI_INVESTMENT_ENVIRONMENT", "production refuses default and short secrets"
    )
    ai_investment_data_directory: Path = _setting(
        Path("data"), "AI_INVESTMENT_DATA_DIRECTORY", "uploads and the embedding model's cache"
    )
    ai_investment_model_directory: str = _setting(
        "",
        "AI_INVESTMENT_MODEL_DIRECTORY",
        "the embedding model's cache elsewhere: the container image has it built in",
    )
    ai_investment_local_user: bool = _setting(
        False,
        "AI_INVESTMENT_LOCAL_USER",
        "requests from this computer without credentials act as one local user; only with a loopback API_HOST",
    )
    api_host: str = _setting("127.0.0.1", "API_HOST", "address the API listens on")
    api_port: int = _setting(8000, "API_PORT", "port the API listens on")
    metrics_port: int = _setting(
        0,
        "METRICS_PORT",
        "internal listener of this process on API_HOST: /metrics and /health without a key; 0: none",
    )
    api_debug: bool = _setting(False, "API_DEBUG", "more detail in logs; never in production")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _setting(
        "INFO", "LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR"
    )
    secret_key: str = _setting(
        _INSECURE,
        "SECRET_KEY",
        "at least 32 characters; hashes of API keys depend on it",
        secret=True,
    )
    jwt_secret_key: str = _setting(
        _INSECURE, "JWT_SECRET_KEY", "at least 32 characters; signs our own tokens", secret=True
    )
    database_url: str = _setting(
        "sqlite:///data/ai-investment.db",
        "DATABASE_URL",
        "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
        secret=True,
    )
    redis_url: str = _setting(
        "redis://127.0.0.1:6379/0",
        "REDIS_URL",
        "queues and event streams: redis://, rediss:// or unix://",
        secret=True,
    )
    chroma_url: str = _setting("http://127.0.0.1:8001", "CHROMA_URL", "the Chroma server")
    openai_api_key: str = _setting(
        "",
        "OPENAI_API_KEY",
        "empty: answers are quotations put together without a model",
        secret=True,
    )
    openai_base_url: str = _setting(
        "https://api.openai.com/v1", "OPENAI_BASE_URL", "any server that speaks the same protocol"
    )
    openai_model: str = _setting("gpt-4.1-mini", "OPENAI_MODEL", "the model that writes answers")
    openai_user_daily_tokens: int = _setting(
        200_000,
        "OPENAI_USER_DAILY_TOKENS",
        "tokens one user may cost in a UTC day; beyond it answers are quotations",
    )
    openai_daily_tokens: int = _setting(
        10_000_000, "OPENAI_DAILY_TOKENS", "tokens all users together may cost in a UTC day"
    )
    openai_daily_cost_usd: Decimal = _setting(
        Decimal("25"),
        "OPENAI_DAILY_COST_USD",
        "US dollars all users together may cost in a UTC day",
    )
    embedding_model: Literal["all-minilm-l6-v2-int8"] = _setting(
        "all-minilm-l6-v2-int8", "EMBEDDING_MODEL", "the local embedding model"
    )
    fetch_contact: str = _setting(
        "",
        "FETCH_CONTACT",
        "how site owners reach you, named in every request we make; the SEC wants an e-mail address",
    )
    fetch_allowed_private_hosts: str = _setting(
        "",
        "FETCH_ALLOWED_PRIVATE_HOSTS",
        "host:port, … that may be fetched from although they are not public; never in production",
    )

    @property
    def production(self) -> bool:
        return self.ai_investment_environment == "production"

    @property
    def private_hosts(self) -> frozenset[str]:
        """The `host:port` of FETCH_ALLOWED_PRIVATE_HOSTS; IPv6 addresses without their brackets."""
        return frozenset(re.sub(r"[\[\]]", "", host) for host in self._private_hosts())

    def _private_hosts(self) -> list[str]:
        return sorted(self.fetch_allowed_private_hosts.lower().replace(",", " ").split())

    @property
    def object_directory(self) -> Path:
        return self.ai_investment_data_directory / "objects"

    @property
    def source_folders(self) -> Path:
        """Only folders in here can be sources."""
        return self.ai_investment_data_directory / "folders"

    @property
    def model_cache(self) -> Path:
        if self.ai_investment_model_directory:
            return Path(self.ai_investment_model_directory)
        return self.ai_investment_data_directory / "models"

    def __repr__(self) -> str:
        """Secrets and URLs with passwords never reach a log through this object."""
        return f"Settings({self.ai_investment_environment})"


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from `environ`; `NAME_FILE` names a file with the value (a mounted secret).

    Raises InvalidSettings with every fault: unknown AI_INVESTMENT_* names, values of the wrong form,
    unreadable files, and in production default or short secrets.
    """
    faults: list[str] = []
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        raw = _raw_value(environ, field.name.upper(), faults)
        if raw is None or (raw == "" and field.default != ""):
            continue
        try:
            values[field.name] = msgspec.convert(
                raw, field.type, strict=False, dec_hook=lambda kind, text: kind(text)
            )
        except msgspec.ValidationError as cause:
            faults.append(f"{field.name.upper()}: {_plain(cause)}")
    faults += _unknown_names(environ)
    settings = Settings(**values)
    faults += _inconsistencies(settings)
    if faults:
        raise InvalidSettings(faults)
    return settings


def _raw_value(environ: Mapping[str, str], name: str, faults: list[str]) -> str | None:
    if file := environ.get(f"{name}_FILE"):
        if name in environ:
            faults.append(f"{name}: set together with {name}_FILE; keep one of them")
        try:
            return Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as cause:
            reason = getattr(cause, "strerror", None) or "not UTF-8 text"
            faults.append(f"{name}_FILE: cannot read {file}: {reason}")
    return environ.get(name)


def _plain(cause: msgspec.ValidationError) -> str:
    text = str(cause)
    if "enum value" in text:
        return f"{text.rsplit(' ', 1)[-1]} is not one of the allowed values"
    return (
        text.replace("`", "")
        .replace("Expected int, got str", "not a whole number")
        .replace("Expected bool, got str", "not true or false")
    )


def _unknown_names(environ: Mapping[str, str]) -> list[str]:
    known = {field.name.upper() for field in msgspec.structs.fields(Settings)}
    known |= {f"{name}_FILE" for name in known} | CLIENT_NAMES
    ours = sorted(name for name in environ if name.startswith("AI_INVESTMENT_"))
    return [f"{name}: unknown setting" for name in ours if name not in known]


# Read by the command line when it talks to a server, not by the server.
CLIENT_NAMES = frozenset({"AI_INVESTMENT_URL", "AI_INVESTMENT_API_KEY"})


def _inconsistencies(settings: Settings) -> list[str]:
    faults = [
        f"FETCH_ALLOWED_PRIVATE_HOSTS: {host} is not of the form host:port"
        for host in settings._private_hosts()
        if not re.fullmatch(r"(?:[^\s:/\[\]]+|\[[0-9a-f:.]+\]):\d{1,5}", host)
    ]
    if not 0 < settings.api_port < 65536:
        faults.append(f"API_PORT: {settings.api_port} is not a port (1 to 65535)")
    if not 0 <= settings.metrics_port < 65536 or settings.metrics_port == settings.api_port:
        faults.append(
            f"METRICS_PORT: {settings.metrics_port} is not 0 or a port (1 to 65535) besides API_PORT"
        )
    for name, pattern in _URLS.items():
        if not re.match(pattern, getattr(settings, name)):
            faults.append(f"{name.upper()}: not a URL of the form {_FORMS[name]}")
    faults += [
        f"{name.upper()}: must not be negative; 0 allows no call of the model"
        for name in ("openai_user_daily_tokens", "openai_daily_tokens", "openai_daily_cost_usd")
        if not getattr(settings, name) >= 0
    ]
    if settings.ai_investment_local_user and settings.api_host not in LOOPBACK:
        faults.append("AI_INVESTMENT_LOCAL_USER: needs API_HOST to be a loopback address")
    if re.search(r"[^\x20-\x7e]|[()]", settings.fetch_contact):
        faults.append("FETCH_CONTACT: only plain characters, without brackets")
    if settings.production:
        faults += _production_faults(settings)
    return faults


LOOPBACK = ("127.0.0.1", "::1", "localhost")
_URLS = {
    "database_url": r"^(sqlite(\+aiosqlite)?:///|postgres(ql)?(\+asyncpg)?://)",
    "redis_url": r"^(rediss?://[^/]+|unix://)",
    "chroma_url": r"^https?://[^/]+",
    "openai_base_url": r"^https?://[^/]+",
}
_FORMS = {
    "database_url": "sqlite:///FILE or postgresql://…",
    "redis_url": "redis://HOST:PORT/DB",
    "chroma_url": "http://HOST:PORT",
    "openai_base_url": "https://HOST/v1",
}


def _production_faults(settings: Settings) -> list[str]:
    faults = []
    for name in ("secret_key", "jwt_secret_key"):
        value = getattr(settings, name)
        if value == _INSECURE:
            faults.append(f"{name.upper()}: not set; production needs a secret of its own")
        elif len(value) < _MIN_SECRET:
            faults.append(f"{name.upper()}: {len(value)} characters, needs {_MIN_SECRET}")
    if settings.secret_key == settings.jwt_secret_key != _INSECURE:
        faults.append("JWT_SECRET_KEY: the same as SECRET_KEY; use two secrets")
    if settings.fetch_allowed_private_hosts:
        faults.append("FETCH_ALLOWED_PRIVATE_HOSTS: must be empty in production")
    if settings.api_debug:
        faults.append("API_DEBUG: must be off in production")
    if settings.ai_investment_local_user:
        faults.append("AI_INVESTMENT_LOCAL_USER: must be off in production")
    return faults


def env_example() -> str:
    """The text of `.env.example`: every setting with its meaning and default."""
    lines = [
        "# Every setting. Each may also be given as NAME_FILE, a file that holds the value.",
        "",
    ]
    for env, doc, default, secret in _HELP:
        shown = (
            ""
            if secret and default == _INSECURE
            else str(default).lower()
            if isinstance(default, bool)
            else default
        )
        lines += [f"# {doc}", f"# {env}={shown}", ""]
    return "\n".join(lines).rstrip() + "\n"
