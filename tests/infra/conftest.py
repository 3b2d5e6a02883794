"""One run of the whole, recorded: the stack in moto's server, a bot on its bucket, every request and every line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.infra.stack_kit import REGION, STACK, TEMPLATE, Rendered
from tests.support.once import once
from tests.support.proxy import proxy_to
from tests.support.rig import Venue, command, quick_params, venue
from tests.support.rig_bars import made_bars
from tests.support.s3_kit import Bucketry, moto
from trader.core.types import HOUR_MS, iso, parse_hour

BEGIN = parse_hour("2021-03-05T00:00")
RECORDED = "recorded.json"


@dataclass(frozen=True, slots=True)
class Call:
    """One request to S3 in IAM's words: the action, the object or the bucket, and the listed prefix."""

    action: str
    key: str
    prefix: str = ""


def call_of(method: str, path: str) -> Call:
    """What IAM checks for a request `METHOD /bucket/key?query`."""
    parts = urlsplit(path)
    _, _, key = unquote(parts.path).lstrip("/").partition("/")
    query = parse_qs(parts.query)
    if method == "GET" and not key:
        return Call("s3:ListBucket", "", query.get("prefix", [""])[0])
    known = {
        "GET": "s3:GetObject",
        "HEAD": "s3:GetObject",
        "PUT": "s3:PutObject",
        "DELETE": "s3:DeleteObject",
    }
    return Call(known[method], key)


@dataclass
class Recorded:
    """What a bot on the stack's bucket asked of S3, by verb, and what it printed."""

    calls: dict[str, list[Call]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)


@pytest.fixture(scope="session")
def rendered() -> Rendered:
    """The template with its defaults, and somebody to tell."""
    return Rendered(AlarmEmail="somebody@example.org")


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucketry]:
    """moto's server, which knows more of AWS than its S3."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "MOTO_EC2_LOAD_DEFAULT_AMIS", "false"
        )  # ten seconds of machine images that nobody asks for
        with moto(tmp_path_factory.mktemp("moto")) as server:
            yield server


def client(aws: Bucketry, service: str) -> Any:
    """boto3's client of a service there."""
    import boto3

    return boto3.client(  # type: ignore[call-overload]  # the stubs at hand know S3 alone
        service,
        endpoint_url=aws.url,
        region_name=REGION,
        aws_access_key_id=aws.key,
        aws_secret_access_key=aws.secret,
    )


@pytest.fixture(scope="session")
def stack(aws: Bucketry) -> dict[str, str]:
    """The template created as a stack; its outputs."""
    cloudformation = client(aws, "cloudformation")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=TEMPLATE.read_text(),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": "GitHubRepository", "ParameterValue": "owner/name"}],
    )
    (created,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    assert created["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in created["Outputs"]}


@pytest.fixture(scope="session")
def recorded(aws: Bucketry, stack: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A bot begun, ticked, halted and looked at on the stack's bucket, every verb a process of its own."""
    folder = once(tmp_path_factory, "bot-on-the-stack", lambda folder: _record(aws, stack, folder))
    told = json.loads((folder / RECORDED).read_text())
    return Recorded(
        {name: [Call(**call) for call in calls] for name, calls in told["calls"].items()},
        told["said"],
        told["codes"],
    )


def _record(aws: Bucketry, stack: dict[str, str], folder: Path) -> None:
    (folder / "P.json").write_text(json.dumps(quick_params()))
    bars, seen = made_bars(folder, "2020-12-01", "2021-03-20"), Recorded()
    with proxy_to(aws.url) as proxy, venue(folder, bars, BEGIN) as exchange:
        there = {
            **exchange.environment,
            **aws.environment,
            "TRADER_STORE": stack["Store"],
            "TRADER_S3_REGION": stack["Region"],
            "TRADER_S3_ENDPOINT_URL": proxy.url,
        }

        def run(name: str, *arguments: str) -> None:
            proxy.seen.clear()
            done = command("trader", *arguments, cwd=folder, check=False, **there)
            seen.calls[name] = [call_of(method, path) for method, path in proxy.seen]
            seen.said[name] = done.stdout + done.stderr
            seen.codes[name] = done.returncode

        run("not begun", "tick")
        run("retrain", "retrain", "--params", "P.json")
        exchange.move_to(BEGIN + HOUR_MS)
        run("dry", "tick", "--dry")
        _tick_until_an_order(exchange, run, seen)
        run("done", "tick")
        run("retrain if due", "retrain", "--if-due")
        run("status", "status")
        run("health", "health")
        run("halt", "halt", "--reason", "a test")
        exchange.move_to(int(exchange.sim("/sim/clock")["now"]) + HOUR_MS)
        run("halted", "tick")
    (folder / RECORDED).write_text(json.dumps(asdict(seen)))


def _tick_until_an_order(exchange: Venue, run: Any, seen: Recorded) -> None:
    for hour in range(1, 30):
        exchange.move_to(BEGIN + hour * HOUR_MS)
        run("tick", "tick")
        assert seen.codes["tick"] == 0, seen.said["tick"]
        if re.search("BUY|SELL", seen.said["tick"]):
            return
    raise AssertionError(f"no order between {iso(BEGIN)} and 30 hours later")
