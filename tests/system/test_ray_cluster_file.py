"""infra/ray/cluster.yaml beside Ray's own schema. It was never run."""

from __future__ import annotations

import importlib.util
import ipaddress
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

FILE = Path(__file__).resolve().parents[2] / "infra" / "ray" / "cluster.yaml"


@pytest.fixture(scope="module")
def schema() -> Any:
    """Of the Ray that is installed."""
    found = importlib.util.find_spec("ray")
    assert found
    assert found.origin
    return json.loads((Path(found.origin).parent / "autoscaler" / "ray-schema.json").read_text())


@pytest.fixture
def cluster() -> Any:
    """The file."""
    return yaml.safe_load(FILE.read_text())


def test_the_file_is_one_that_ray_takes(cluster: Any, schema: Any) -> None:
    """By its schema, which refuses a misspelled key."""
    jsonschema.validate(cluster, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**cluster, "idle_minutes": 3}, schema)


def test_only_ssh_is_open_and_to_one_address(cluster: Any) -> None:
    """Ray's ports run what they are sent: nothing but SSH is let in, the dashboard is on loopback."""
    rules = cluster["provider"]["security_group"]["IpPermissions"]
    assert [(it["FromPort"], it["ToPort"]) for it in rules] == [(22, 22)]
    ranges = [ipaddress.ip_network(at["CidrIp"]) for it in rules for at in it["IpRanges"]]
    assert [it.num_addresses for it in ranges] == [1]
    assert any("--dashboard-host=127.0.0.1" in it for it in cluster["head_start_ray_commands"])


def test_workers_are_spot_and_the_head_is_not(cluster: Any) -> None:
    """A head that is taken back would end the study's command; it computes no task itself."""
    types = cluster["available_node_types"]
    head = types[cluster["head_node_type"]]
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["resources"]["CPU"] == 0
    assert types["worker"]["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"


def test_the_file_says_that_it_was_never_run() -> None:
    """Whoever runs it first knows."""
    assert "NEVER RUN" in FILE.read_text().split("cluster_name")[0]
