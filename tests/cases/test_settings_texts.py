"""Settings as env files, shells and editors leave them are read as they were meant, or refused; none is silently another one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from trader.config import Settings, load_settings
from trader.core.errors import ConfigError

TEXTS = {
    "store": "s3://my-bucket/bot",
    "symbol": "ETHUSDT",
    "venue": "testnet",
    "bars": "some/bars",
    "timeout_s": "7.5",
    "copies": "true",
    "largest_order_usdt": "250",
    "api_key": "a-key",
    "mlflow_uri": "http://localhost:5000",
    "notify": "ntfy://a ntfy://b",
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without trader.toml."""
    monkeypatch.chdir(tmp_path)


def shown(settings: Settings, name: str) -> object:
    """A setting's value, secrets as they are."""
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


@pytest.mark.parametrize("left", ['"{}"', "'{}'", "{}\r", "  {} ", "“{}”", '" {} "', "\ufeff{}"])
@pytest.mark.parametrize("name", TEXTS)
def test_what_an_env_file_leaves_is_taken_off(name: str, left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotes that Docker keeps, blanks, line ends, curly quotes: every kind of setting has the value that was meant."""
    monkeypatch.setenv(f"TRADER_{name.upper()}", TEXTS[name])
    meant = shown(load_settings(), name)
    monkeypatch.setenv(f"TRADER_{name.upper()}", left.format(TEXTS[name]))
    assert shown(load_settings(), name) == meant


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ('"s3://my-bucket/bot', "has a quote at one end"),
        ("s3://my-bucket/bot'", "has a quote at one end"),
        ("${HOME}/state", "holds a variable that was not filled in"),
        ("$HOME/state", "holds a variable that was not filled in"),
        ("%USERPROFILE%/state", "holds a variable that was not filled in"),
        ("state # the journal", "holds a comment"),
        ("sta\u200bte", "cannot be seen"),
        ("sta\udcf6te", "cannot be seen"),
        ("gs://bucket/bot", "is no store; write a folder, or s3://bucket/prefix"),
        ("~nobody-by-this-name/state", "names a user that this machine does not know"),
    ],
)
def test_what_is_doubtful_is_refused(value: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that went into a folder of such a name would be lost with its container."""
    monkeypatch.setenv("TRADER_STORE", value)
    with pytest.raises(ConfigError, match=f"store: .*{why}"):
        load_settings()
    with pytest.raises(ConfigError, match=why):
        load_settings(store=value)


def test_a_secret_that_is_refused_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name and what is wrong with it suffice."""
    monkeypatch.setenv("TRADER_API_SECRET", '"canary-secret')
    with pytest.raises(ConfigError, match="api_secret: it has a quote at one end") as caught:
        load_settings()
    assert "canary" not in str(caught.value)


def test_a_home_is_a_folder_for_every_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`~` is left by env files, trader.toml and `--store=~/x`."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TRADER_BARS", "~/bars")
    Path("trader.toml").write_text('page_dir = "~/page"\n')
    settings = load_settings(store="~/state")
    home = tmp_path / "home"
    assert (settings.bars, settings.page_dir, settings.store) == (
        home / "bars",
        home / "page",
        str(home / "state"),
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_settings_file_may_begin_with_a_mark(encoding: str) -> None:
    """Notepad and PowerShell put one."""
    Path("trader.toml").write_bytes('symbol = "ETHUSDT"\nbot = "toml"\n'.encode(encoding))
    settings = load_settings()
    assert (settings.symbol, settings.bot) == ("ETHUSDT", "toml")


def test_the_order_in_which_sources_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """Option, environment, trader.toml; no other file of the folder, which a child without the keys would read as well."""
    Path("trader.toml").write_text('bot = "toml"\nsymbol = "TOML"\nstore = "toml"\nbars = "toml"\n')
    Path(".env").write_text("TRADER_BOT=dotenv\nTRADER_SYMBOL=DOTENV\nTRADER_STORE=dotenv\n")
    monkeypatch.setenv("TRADER_BOT", "env")
    monkeypatch.setenv("TRADER_SYMBOL", "ENVIRON")
    settings = load_settings(bot="option")
    assert (settings.bot, settings.symbol, settings.store, settings.bars) == (
        "option",
        "ENVIRON",
        "toml",
        Path("toml"),
    )


def test_the_key_of_the_store_stands_in_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from the environment alone."""
    Path("trader.toml").write_text(f'store_hmac_key = "{"k" * 32}"\n')
    with pytest.raises(ConfigError, match=r"trader\.toml: store_hmac_key belongs in the environment"):
        load_settings()
    Path("trader.toml").unlink()
    monkeypatch.setenv("TRADER_STORE_HMAC_KEY", "k" * 32)
    assert load_settings().signer is not None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TRADER_LARGEST_ORDER", "TRADER_LARGEST_ORDER_USDT"),
        ("TRADER_LARGEST_ORDER_USTD", "TRADER_LARGEST_ORDER_USDT"),
        ("TRADER_MAX_EXPOSURE", "TRADER_LARGEST_EXPOSURE"),
        ("TRADER_ORDERS_PER_DAY", "TRADER_ORDERS_A_DAY"),
        ("trader_veneu", "TRADER_VENUE"),
    ],
)
def test_a_misspelled_setting_is_refused(name: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that nobody keeps is dangerous: the nearest name is said, wherever it was written."""
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigError, match=rf"no setting is called {name}; did you mean {meant}\?"):
        load_settings()
    monkeypatch.delenv(name)
    key = name.lower().removeprefix("trader_")
    Path("trader.toml").write_text(f"{key} = 1\n")
    with pytest.raises(ConfigError, match=rf"trader\.toml: no setting is called {key}; did you mean"):
        load_settings()


@pytest.mark.parametrize(
    "name", ["TRADER_SERVICE_HOST", "TRADER_PORT", "TRADER_PORT_8900_TCP_ADDR", "TRADER_CRASH_AT"]
)
def test_what_others_set_does_not_stop_a_bot(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster names services so, and a script may have names of its own; the latter are said by every command."""
    monkeypatch.setenv(name, "tcp://10.0.0.1:8900")
    assert load_settings().venue == "embedded"
