"""compose.yaml is valid, sealed and consistent, and the dashboard asks for metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from typer.main import get_command

import trader.cli
from tests.serving.kit import START, Stage, serving
from trader.config import Settings
from trader.observers.book_metrics import BOOK_GAUGES
from trader.observers.metrics import Gauges, Metrics

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose.yaml"
DASHBOARD = ROOT / "infra/grafana/dashboards/hourly-trader.json"
PROMETHEUS = ROOT / "infra/prometheus/prometheus.yml"


def composed() -> dict[str, Any]:
    """The file, its anchors resolved."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def faults(text: str) -> list[str]:
    """What the schema of compose files, as check-jsonschema carries it, finds wrong with a file."""
    import check_jsonschema
    from jsonschema.validators import validator_for

    (home,) = check_jsonschema.__path__
    schema = json.loads((Path(home) / "builtin_schemas/vendor/compose-spec.json").read_text())
    kind = validator_for(schema)
    return [str(it.message) for it in kind(schema).iter_errors(yaml.safe_load(text))]


def test_the_file_is_valid_by_its_schema() -> None:
    """And one with a misspelled key is not."""
    assert faults(COMPOSE.read_text()) == []
    assert faults(COMPOSE.read_text().replace("cap_drop", "cap_dorp"))


def test_every_port_is_published_on_loopback_only() -> None:
    """Nobody else's machine reaches a service."""
    ports = [port for service in composed()["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_secret_stands_in_the_file() -> None:
    """Each comes from the environment; what must be set has no default."""
    for service in composed()["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("KEY|SECRET|TOKEN|PASSWORD", name):
                assert re.fullmatch(r"\$\{[A-Z_]+:(-|\?[^}]+)\}", value), name


@pytest.mark.parametrize("name", ["bot", "serve"])
def test_ours_are_sealed_and_their_settings_exist(name: str) -> None:
    """Read-only, without capabilities; every variable is a setting, every word of the command an option."""
    service = composed()["services"][name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    settings = {it.removeprefix("TRADER_").lower() for it in service["environment"]}
    assert settings <= set(Settings.model_fields)
    verbs: dict[str, Any] = getattr(get_command(trader.cli.asked(())), "commands")  # noqa: B009  # of a group
    if "command" in service:
        verb, *words = service["command"]
        known = {spelling for option in verbs[verb].params for spelling in option.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_prometheus_scrapes_services_that_listen_there() -> None:
    """The bot's metrics port, and the server's with its token from the secret that Prometheus is given."""
    services, jobs = composed()["services"], yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    assert targets == {
        "bot": [f"bot:{services['bot']['environment']['TRADER_METRICS_PORT']}"],
        "serve": [f"serve:{services['serve']['command'][-1]}"],
    }
    (serve,) = (job for job in jobs if job["job_name"] == "serve")
    assert (
        serve["authorization"]["credentials_file"] == f"/run/secrets/{services['prometheus']['secrets'][0]}"
    )
    assert composed()["secrets"]["serve_token"] == {"environment": "TRADER_SERVE_TOKEN"}


def test_what_is_mounted_is_there() -> None:
    """Files and folders of the checkout, and named volumes that are declared."""
    for service in composed()["services"].values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in composed()["volumes"]
    provider = yaml.safe_load((ROOT / "infra/grafana/provisioning/dashboards/files.yaml").read_text())
    inside = provider["providers"][0]["options"]["path"]
    assert f"./infra/grafana/dashboards:{inside}:ro" in composed()["services"]["grafana"]["volumes"]


def samples(exposition: str) -> set[str]:
    """The names of the samples of an exposition, by Prometheus' own parser."""
    return {it.name for family in text_string_to_metric_families(exposition) for it in family.samples}


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    """Every metric of every query is exposed by a bot or by a server; every panel asks the provisioned source."""
    gauges = Gauges()
    Metrics("BTCUSDT", lambda: START, gauges).ticked("traded")
    exposed = samples(generate_latest(gauges.registry).decode())
    exposed |= {f"trader_book_{name}" for name in BOOK_GAUGES}
    stage = Stage()
    stage.train()
    with serving(stage.service()) as client:
        client.forecast()
        client.service.metrics.shed("request")
        exposed |= samples(client.get("/metrics").text)
    board = json.loads(DASHBOARD.read_text())
    source = yaml.safe_load((ROOT / "infra/grafana/provisioning/datasources/prometheus.yaml").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["datasources"][0]["uid"]}
    asked = {name for query in queries for name in re.findall(r"\btrader_\w+", query)}
    assert len(asked) >= 15
    assert asked <= exposed
