"""Settings: trader.toml < environment (TRADER_*) < options. The only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from trader.core.errors import ConfigError
from trader.core.lifecycle import MEASURES, SEED_BREACH, BreachRule, DriftRule
from trader.core.tags import Signer
from trader.core.types import LOOPBACK
from trader.settings import sources
from trader.settings.addresses import (
    S3_ADDRESS,
    bars_address,
    collected_folder,
    host,
    long_enough,
    store_address,
)
from trader.settings.sources import OPTION, TOML, Given, Unknown
from trader.settings.texts import cleaned, folder_text

Venue = Literal["embedded", "testnet", "demo", "live"]

HOSTS: dict[str, str] = {
    "testnet": "https://testnet.binance.vision",
    "demo": "https://demo-api.binance.com",
    "live": "https://api.binance.com",
}
# The testnet's book is wild; a demo account quotes the live market's prices with little behind them.
PRICE_BANDS = {"testnet": Decimal("0.2"), "demo": Decimal("0.02"), "live": Decimal("0.01")}
# A bot that holds three times what it was given has grown a lot, or something is wrong: a person looks.
EXPOSURE_LIMITS = {"testnet": Decimal(3), "demo": Decimal(3), "live": Decimal(3)}
PUBLIC_DATA_HOST = "https://data-api.binance.vision"
EMBEDDED_PORT = 8900
# The embedded exchange's keys open nothing but a simulation on this machine's loopback.
EMBEDDED_KEY, EMBEDDED_SECRET = "embedded-key", "embedded-secret"


class Settings(BaseModel):
    """Frozen settings of one process. Every field can stand in trader.toml, or as TRADER_<NAME> in the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    venue: Venue = Field(
        "embedded", description="embedded, testnet, demo or live (refused until it is armed)"
    )
    venue_url: str | None = Field(None, description="the embedded exchange's address; loopback only")
    data_url: Annotated[str, AfterValidator(bars_address)] | None = Field(
        None, description="where signals' bars come from; never sees a key; a host or see docs/sources.md"
    )
    api_key: SecretStr = Field(SecretStr(""), description="the venue's API key")
    api_secret: SecretStr = Field(SecretStr(""), description="the venue's API secret")
    symbol: str = Field("BTCUSDT", pattern=r"^[A-Z0-9]{2,20}$", description="what is traded")
    book: Path | None = Field(
        None, description="a book.toml: many symbols on one account, in place of symbol; see docs/book.md"
    )
    symbols: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9]{2,20}$")], ...] | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="many symbols on one account in equal shares, without a book.toml: BTCUSDT,ETHUSDT",
    )
    capital_usdt: Decimal | None = Field(
        None, gt=0, description="capital of all symbols together; default: 10000 for each of them"
    )
    bot: str = Field("hourly", pattern=r"^[A-Za-z0-9]{1,6}$", description="this bot's name in order ids")
    store: Annotated[str, AfterValidator(store_address)] = Field(
        "state", description="journal, models and events: a folder, or s3://bucket/prefix"
    )
    store_hmac_key: Annotated[SecretStr, AfterValidator(long_enough)] = Field(
        SecretStr(""), description="tags every object that decides; environment only, 32 characters or more"
    )
    s3_region: str | None = Field(
        None, pattern=r"^[a-z0-9-]{1,40}$", description="the bucket's region; default: AWS's own settings"
    )
    s3_endpoint_url: (
        Annotated[str, host("keys come from AWS's own settings", "the bucket is named by store")] | None
    ) = Field(None, description="an S3 server other than AWS")
    bars: Annotated[Path, AfterValidator(collected_folder)] = Field(
        Path("data"), description="folder of collected bars"
    )
    halt_policy: Literal["flatten", "freeze"] = Field(
        "flatten", description="what a breached loss limit does"
    )
    price_band: Decimal | None = Field(
        None,
        gt=0,
        le=1,
        description="most that venue and newest close may differ, unless P.json says; default by venue",
    )
    largest_order_usdt: Decimal | None = Field(
        None, gt=0, description="most that one purchase may cost; default: no limit of its own"
    )
    largest_exposure: Decimal | None = Field(
        None, gt=0, le=1000, description="most that may be held, in allocations; default by venue"
    )
    orders_a_day: int | None = Field(
        None, ge=0, le=24, description="most orders in 24 hours, exits apart; default: no limit"
    )
    breach_preset: Literal["", "reference", "seed"] = Field(
        "", description="reference: fewer than 60 % of the last 24 predictions right"
    )
    breach_hours: int = Field(168, ge=2, le=24 * 365, description="window of the retrain rule; hours")
    breach_net_return: float | None = Field(
        -0.05, lt=1, gt=-1, description="retrain below this return of the window"
    )
    breach_hit_rate: float | None = Field(
        None, gt=0, lt=1, description="retrain below this hit rate of the window"
    )
    breach_cooldown_hours: int = Field(168, ge=1, description="least span between two breaches; hours")
    breach_budget: int | None = Field(
        None, ge=1, description="most breaches answered in 30 days; default: no limit"
    )
    drift: str = Field(
        "none",
        pattern=r"^(none|(psi|ks|calibration)(,(psi|ks|calibration))*)$",
        description="drift that is answered like a breach: psi, ks, calibration, separated by commas, or none",
    )
    retune_trials: int = Field(
        20, ge=0, le=1000, description="configurations looked at after a breach; 0 refits"
    )
    certificate: Literal["always", "venues", "never"] = Field(
        "venues", description="promotions that demand a certificate: all, at testnet, demo and live, none"
    )
    features_module: Path | None = Field(
        None, description="a Python file with feature presets of your own; see docs/features.md"
    )
    model_module: Path | None = Field(
        None, description="a Python file with families of models of your own; see docs/families.md"
    )
    checkpoints: Path = Field(
        Path("checkpoints"),
        description="folder of unfinished trainings, which go on after a kill (tft), and of a certificate's folds",
    )
    trackers: str | None = Field(
        None,
        pattern=r"^(none|(mlflow|neptune)(,(mlflow|neptune))*)$",
        description="mlflow, neptune, mlflow,neptune or none; default: mlflow where it is installed",
    )
    tracker_dir: Path = Field(Path("tracking"), description="folder of what trackers write here")
    mlflow_uri: (
        Annotated[str, host("MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD name one")] | None
    ) = Field(None, description="an MLflow server; default: an SQLite file in tracker_dir")
    neptune_project: str | None = Field(None, description="workspace/project at a Neptune server of your own")
    neptune_token: SecretStr = Field(SecretStr(""), description="its API token, which names the server")
    notify: SecretStr = Field(
        SecretStr(""), description="addresses of notices, apprise's notation, separated by spaces"
    )
    notify_level: Literal["info", "warning", "critical"] = Field("info", description="minimum level to send")
    heartbeat_url: SecretStr = Field(SecretStr(""), description="called after each good hour")
    page_dir: Path | None = Field(None, description="folder in which the dashboard is kept up to date")
    copies: bool = Field(False, description="keep results.csv and candles beside the journal, for people")
    stream: bool = Field(
        False,
        description="whether trader run listens to a stream of klines and ticks as soon as a bar closes",
    )
    redis_url: SecretStr = Field(
        SecretStr(""), description="a Redis server that signals are published to; see docs/streams.md"
    )
    redis_stream: str = Field(
        "hourly-trader:signals",
        pattern=r"^[A-Za-z0-9:._-]{1,200}$",
        description="the Redis stream of the signals; of a book one for each symbol, <redis_stream>:<SYMBOL>",
    )
    metrics_port: int | None = Field(None, ge=0, le=65535, description="of trader run; without it no metrics")
    metrics_host: str = Field("127.0.0.1", description="where metrics listen; loopback unless told otherwise")
    serve_token: Annotated[SecretStr, AfterValidator(long_enough)] = Field(
        SecretStr(""), description="what callers of trader serve must send, where it listens beyond loopback"
    )
    log_format: Literal["human", "json"] = Field("human", description="lines on standard error")
    observer_patience_s: float = Field(
        60.0, gt=0, le=600, description="seconds after which observers that are still being told are stopped"
    )
    wait_for_observers: bool | None = Field(
        None,
        description="whether a command ends only when observers were told; default: only in a container or systemd unit",
    )
    timeout_s: float = Field(15.0, gt=0, le=120, description="patience with one HTTP answer")

    @field_validator("*", mode="before")
    @classmethod
    def _as_it_was_meant(cls, value: object, info: ValidationInfo) -> object:
        """Texts without what env files leave around them; folders without `~`. Raises ValueError."""
        if not isinstance(value, str | Path):
            return value
        name = info.field_name or ""
        kind = str(cls.model_fields[name].annotation)
        text = cleaned(str(value), secret="SecretStr" in kind)
        if name == "symbols":
            return tuple(it.strip() for it in text.split(",") if it.strip())
        return folder_text(text) if name == "store" or "Path" in kind else text

    @property
    def has_book(self) -> bool:
        """Whether they name a book: a book.toml, or a list of symbols."""
        return self.book is not None or self.symbols is not None

    @property
    def exchange_url(self) -> str:
        """Where orders go. Raises ConfigError for an address that the venue may not have."""
        if self.venue == "live":
            raise ConfigError("venue live is refused until it is armed; use testnet, demo or embedded")
        if self.venue != "embedded":
            if self.venue_url:
                raise ConfigError(
                    f"venue_url is for the embedded exchange only; {self.venue} lives at {HOSTS[self.venue]}"
                )
            return HOSTS[self.venue]
        url = self.venue_url or f"http://127.0.0.1:{EMBEDDED_PORT}"
        parts = urlsplit(url)
        if "@" in parts.netloc:
            raise ConfigError(
                "venue_url names a user or a password, and is not repeated here: the exchange's key stands in TRADER_API_KEY and "
                "TRADER_API_SECRET"
            )
        if parts.hostname not in LOOPBACK or parts.scheme != "http":
            raise ConfigError(
                f"venue_url {url!r} must be http on loopback, such as http://127.0.0.1:{EMBEDDED_PORT}"
            )
        return url.rstrip("/")

    @property
    def bar_source(self) -> str | None:
        """A database, a bucket or a folder that bars come from; None where they come from a host."""
        return None if self.data_url is None or self.data_url.startswith("http") else self.data_url

    @property
    def market_url(self) -> str:
        """Where bars come from: the public host, or the embedded exchange itself."""
        if self.data_url:
            return self.data_url.rstrip("/")
        return self.exchange_url if self.venue == "embedded" else PUBLIC_DATA_HOST

    @property
    def signer(self) -> Signer | None:
        """What tags and compares objects of the store, None without a key."""
        key = self.store_hmac_key.get_secret_value().strip()
        return Signer(key.encode()) if key else None

    @property
    def bucket(self) -> tuple[str, str] | None:
        """Bucket and prefix of a store in S3, None where the store is a folder."""
        found = S3_ADDRESS.fullmatch(self.store)
        return (found[1], found[2].strip("/")) if found else None

    @property
    def band(self) -> Decimal | None:
        """Beyond which gap of signal and venue nothing is sent and no close counts, a share, where the parameters say none; None
        for the embedded exchange, whose bars are its own market."""
        return self.price_band or PRICE_BANDS.get(self.venue)

    @property
    def exposure_limit(self) -> Decimal | None:
        """Most that may be held, in allocations; None for the embedded exchange, whose money is none."""
        return self.largest_exposure or EXPOSURE_LIMITS.get(self.venue)

    @property
    def breach_rule(self) -> BreachRule:
        """When recent hours are bad enough to search parameters anew."""
        if self.breach_preset:
            return SEED_BREACH
        return BreachRule(
            self.breach_hours,
            self.breach_net_return,
            self.breach_hit_rate,
            self.breach_cooldown_hours,
            self.breach_budget,
        )

    @property
    def drift_rule(self) -> DriftRule | None:
        """Which drift is answered like a breach, within the breaches' cooldown and budget; None for none."""
        measures = tuple(measure for measure in MEASURES if measure in self.drift.split(","))
        return DriftRule(measures, self.breach_cooldown_hours, self.breach_budget) if measures else None

    @property
    def demands_certificate(self) -> bool:
        """Whether a model is named champion only with a certificate that it passed."""
        return self.certificate == "always" or (self.certificate == "venues" and self.venue != "embedded")

    @property
    def keys(self) -> tuple[str, str]:
        """Key and secret. Raises ConfigError where a venue needs them and they are missing."""
        key, secret = self.api_key.get_secret_value().strip(), self.api_secret.get_secret_value().strip()
        if self.venue == "embedded":
            return key or EMBEDDED_KEY, secret or EMBEDDED_SECRET
        if not key or not secret:
            raise ConfigError(
                f"venue {self.venue} needs TRADER_API_KEY and TRADER_API_SECRET in the environment"
            )
        return key, secret


def load_settings(**options: Any) -> Settings:
    """Settings with options that are not None on top. Raises ConfigError that names each setting that is wrong, and each name
    that resembles a setting's and is none: a limit that is misspelled would not be kept."""
    found, unknown = gather(options)
    settings, faults = settle(found)
    faults += [it.in_words() for it in unknown if it.nearest or it.where == TOML]
    if settings is None or faults:
        raise ConfigError(f"settings: {'; '.join(faults)}. See: trader config")
    return settings


def gather(options: Mapping[str, Any]) -> tuple[dict[str, Given], list[Unknown]]:
    """What wins for each setting, and the names that no setting has, over all sources. Raises ConfigError for a file that cannot
    be read, and for one that holds the key of the store."""
    return sources.gather(options, os.environ, Settings.model_fields)


def strangers() -> list[Unknown]:
    """The names in the environment that resemble no setting's."""
    return [stranger for stranger in gather({})[1] if not stranger.nearest and stranger.where != TOML]


def settle(found: Mapping[str, Given]) -> tuple[Settings | None, list[str]]:
    """The settings, or None and what is wrong with each that is, and where it came from."""
    if faults := _contradictions(found):
        return None, faults
    try:
        return _of_one_symbol(Settings(**{name: given.value for name, given in found.items()})), []
    except ValidationError as error:
        faults = []
        for item in error.errors(include_input=False, include_url=False):
            name = str(item["loc"][0])
            given = found[name]
            said = item["msg"].removeprefix("Value error, ")
            faults.append(f"{name}: {said}" + ("" if given.where == OPTION else f" (from {given.where})"))
        return None, faults


def _of_one_symbol(settings: Settings) -> Settings:
    """A list of one symbol is that symbol; with a capital of its own it stays a list."""
    if settings.symbols is None or len(settings.symbols) > 1:
        return settings
    (only,) = settings.symbols
    kept = settings.symbols if settings.capital_usdt is not None else None
    return settings.model_copy(update={"symbol": only, "symbols": kept})


def _contradictions(found: Mapping[str, Given]) -> list[str]:
    """Settings that say what is traded in two ways. The option --symbol may look at one symbol of a list."""
    if "symbols" not in found:
        return ["capital_usdt belongs to symbols, which is not set"] if "capital_usdt" in found else []
    others = [it for it in ("book", "symbol") if it in found]
    return [
        f"symbols (from {found['symbols'].where}) and {it} (from {found[it].where}) both say what is traded; keep one of them"
        for it in others
        if (it, found[it].where) != ("symbol", OPTION)
    ]


def traces_are_collected() -> bool:
    """Whether the environment names a collector of traces, by OpenTelemetry's own variables."""
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(os.environ.get(name, "").strip() for name in names)


def export(values: Mapping[str, str]) -> None:
    """Give a library its own environment variables before it is imported; what a person set already stays."""
    for name, value in values.items():
        os.environ.setdefault(name, value)


def environment_without_keys() -> dict[str, str]:
    """For a process that never asks the venue: this one's environment, but the venue's keys. The key of the store stays: what is
    told is read from the store, and compared."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.upper() not in ("TRADER_API_KEY", "TRADER_API_SECRET")
    }
