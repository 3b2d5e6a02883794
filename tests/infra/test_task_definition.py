"""The task definition: rendered from the stack, valid to AWS's own models, hardened, without a secret."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from infra.ecs.render import outputs_of, render
from tests.infra.conftest import client
from tests.infra.stack_kit import REGION, ROOT, STACK
from tests.support.s3_kit import Bucketry
from trader.config import Settings

IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hourly-trader:abc"


@pytest.fixture(scope="session")
def task(stack: dict[str, str]) -> dict[str, Any]:
    """What deploy.sh registers."""
    return render(stack, STACK, IMAGE, "testnet", "BTCUSDT")


def pascal(value: Any) -> Any:
    """The API's JSON in CloudFormation's spelling."""
    if isinstance(value, dict):
        return {
            key if "-" in key else key[0].upper() + key[1:]: pascal(inner) for key, inner in value.items()
        }
    return [pascal(inner) for inner in value] if isinstance(value, list) else value


def test_it_is_valid_to_the_api_and_to_cloudformation(task: dict[str, Any]) -> None:
    """botocore's model of RegisterTaskDefinition and the published resource schema both accept it."""
    from jsonschema import Draft7Validator

    shape = botocore.session.get_session().get_service_model("ecs").operation_model("RegisterTaskDefinition")
    assert shape.input_shape is not None
    report = ParamValidator().validate(task, shape.input_shape)
    assert not report.has_errors(), report.generate_report()
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, "AWS::ECS::TaskDefinition").schema
    problems = [e.message for e in Draft7Validator(dict(schema)).iter_errors(pascal(task))]
    assert problems == []


def test_it_registers_and_rolls_back(aws: Bucketry, task: dict[str, Any]) -> None:
    """moto's ECS takes it; without its newest revision, the one before is the newest that is active."""
    ecs = client(aws, "ecs")
    first, second = (ecs.register_task_definition(**task)["taskDefinition"] for _ in range(2))
    assert second["revision"] == first["revision"] + 1
    ecs.deregister_task_definition(taskDefinition=f"{STACK}:{second['revision']}")
    active = ecs.list_task_definitions(familyPrefix=STACK, status="ACTIVE")["taskDefinitionArns"]
    assert active[-1] == first["taskDefinitionArn"]


def test_the_container_is_sealed(task: dict[str, Any]) -> None:
    """Not root, nothing writable but two volumes that the image declares, no capability, Fargate's sizes."""
    (container,) = task["containerDefinitions"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert container["readonlyRootFilesystem"]
    assert f"USER {container['user']}" in dockerfile
    assert container["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
    paths = [mount["containerPath"] for mount in container["mountPoints"]]
    assert f"VOLUME {json.dumps(paths)}" in dockerfile
    assert {m["sourceVolume"] for m in container["mountPoints"]} == {v["name"] for v in task["volumes"]}
    assert "portMappings" not in container


def test_secrets_are_references_and_settings_exist(task: dict[str, Any], stack: dict[str, str]) -> None:
    """Keys come from the parameter store beneath the stack's name; every variable is a setting of the bot."""
    (container,) = task["containerDefinitions"]
    secrets = {secret["name"]: secret["valueFrom"] for secret in container["secrets"]}
    assert set(secrets) == {"TRADER_API_KEY", "TRADER_API_SECRET"}
    assert all(
        value.startswith(f"arn:aws:ssm:{REGION}:") and f":parameter/{STACK}/" in value
        for value in secrets.values()
    )
    plain = {variable["name"]: variable["value"] for variable in container["environment"]}
    assert plain["TRADER_STORE"] == stack["Store"]
    names = {name.removeprefix("TRADER_").lower() for name in [*plain, *secrets]}
    assert names <= set(Settings.model_fields)


def test_the_command_is_the_images(task: dict[str, Any]) -> None:
    """A warm service runs what the image runs by itself."""
    (container,) = task["containerDefinitions"]
    assert f"CMD {json.dumps(container['command'])}" in (ROOT / "Dockerfile").read_text()


def test_the_script_reads_describe_stacks(aws: Bucketry, stack: dict[str, str], task: dict[str, Any]) -> None:
    """As deploy.sh calls it; an output that is missing is named."""
    stacks = client(aws, "cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    answer = {"Stacks": [{"Outputs": stacks[0]["Outputs"]}]}
    assert outputs_of(answer) == stack
    script = [sys.executable, str(ROOT / "infra/ecs/render.py"), "--family", STACK, "--image", IMAGE]
    done = subprocess.run(
        script, input=json.dumps(answer), capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == task
    answer["Stacks"][0]["Outputs"] = [o for o in stacks[0]["Outputs"] if o["OutputKey"] != "Store"]
    done = subprocess.run(
        script, input=json.dumps(answer), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "'Store'" in done.stderr
