"""The template: what the linter says, what moto's server makes of it, what the rest of it says when rendered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.infra.conftest import client
from tests.infra.stack_kit import REGION, ROOT, STACK, TEMPLATE, Rendered
from tests.support.s3_kit import Bucketry


def test_cfn_lint_finds_nothing() -> None:
    """Every property, value and reference is what CloudFormation knows, in the default region and others."""
    from cfnlint.api import ManualArgs, lint

    found = lint(TEMPLATE.read_text(), config=ManualArgs(regions=[REGION, "ap-northeast-1"]))
    assert [f"{match.rule.id} {match.message}" for match in found] == []


def test_the_stack_is_created(aws: Bucketry, stack: dict[str, str]) -> None:
    """moto's server creates it, and the names that deploy.sh builds from the stack's name are there."""
    assert stack["Store"] == f"s3://{stack['Bucket']}/bot"
    assert client(aws, "ecs").describe_clusters(clusters=[STACK])["clusters"][0]["status"] == "ACTIVE"
    (repository,) = client(aws, "ecr").describe_repositories(repositoryNames=[STACK])["repositories"]
    assert repository["repositoryUri"] == stack["RepositoryUri"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert client(aws, "iam").get_role(RoleName=f"{STACK}-deploy")["Role"]["Arn"] == stack["DeployRoleArn"]
    (group,) = client(aws, "logs").describe_log_groups(logGroupNamePrefix=stack["LogGroup"])["logGroups"]
    assert group["retentionInDays"] == 30
    rule = client(aws, "s3").get_bucket_encryption(Bucket=stack["Bucket"])[
        "ServerSideEncryptionConfiguration"
    ]
    assert rule["Rules"][0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_the_network_has_no_entrance_and_costs_nothing_by_the_hour(rendered: Rendered) -> None:
    """HTTPS leaves, nothing enters; no NAT gateway, no load balancer, no endpoint that is billed."""
    (firewall,) = rendered.of_type("AWS::EC2::SecurityGroup").values()
    assert firewall["SecurityGroupIngress"] == []
    assert [(rule["FromPort"], rule["ToPort"]) for rule in firewall["SecurityGroupEgress"]] == [(443, 443)]
    kinds = {resource["Type"] for resource in rendered.resources.values()}
    assert not {k for k in kinds if "Nat" in k or "LoadBalancer" in k or "VPCEndpoint" in k or "EIP" in k}


def test_the_bucket_is_private_versioned_encrypted_and_outlives_the_stack(rendered: Rendered) -> None:
    """What moto does not show: versions, the public access block, TLS only, old versions expiring, retention."""
    (bucket,) = rendered.of_type("AWS::S3::Bucket").values()
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 90
    assert "Expiration" not in str(rule).replace(
        "NoncurrentVersionExpiration", ""
    )  # the journal itself never expires
    assert rendered.resources["Bucket"]["DeletionPolicy"] == "Retain"
    (policy,) = rendered.of_type("AWS::S3::BucketPolicy").values()
    denied = {s["Sid"]: s for s in policy["PolicyDocument"]["Statement"]}
    assert {s["Effect"] for s in denied.values()} == {"Deny"}
    assert denied["TlsOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert denied["TlsOnly"]["Resource"] == ["<Bucket.Arn>", "<Bucket.Arn>/*"]


def cron_lines() -> dict[tuple[str, ...], str]:
    """Arguments of `trader` -> minutes, of cron-job."""
    lines = [
        line.split() for line in (ROOT / "cron-job").read_text().splitlines() if not line.startswith("#")
    ]
    assert all(line[1:5] == ["*"] * 4 and line[5] == "trader" for line in lines if line)
    return {tuple(line[6:]): line[0] for line in lines if line}


def test_the_schedules_are_those_of_cron_job(rendered: Rendered) -> None:
    """One schedule for each line, at its minutes, in UTC, with its arguments, of the newest task definition."""
    import json

    found = {}
    for schedule in rendered.of_type("AWS::Scheduler::Schedule").values():
        (override,) = json.loads(schedule["Target"]["Input"])["containerOverrides"]
        assert override["name"] == "trader"
        assert schedule["ScheduleExpressionTimezone"] == "UTC"
        assert schedule["Target"]["EcsParameters"]["TaskDefinitionArn"].endswith(f":task-definition/{STACK}")
        minutes = schedule["ScheduleExpression"].removeprefix("cron(").removesuffix(" * * * ? *)")
        found[tuple(override["command"])] = minutes
    assert found == cron_lines()


def test_a_warm_service_replaces_the_schedules() -> None:
    """By parameter: one task, a new one before the old one goes, rolled back by itself; no schedule beside it."""
    warm = Rendered(Mode="service")
    (service,) = warm.of_type("AWS::ECS::Service").values()
    assert service["DesiredCount"] == 1
    assert service["TaskDefinition"] == STACK
    assert service["DeploymentConfiguration"]["DeploymentCircuitBreaker"] == {
        "Enable": True,
        "Rollback": True,
    }
    assert not [r for r in warm.resources.values() if r["Type"] == "AWS::Scheduler::Schedule"]
    assert not [r for r in Rendered().resources.values() if r["Type"] == "AWS::ECS::Service"]


def test_only_this_repository_and_branch_may_deploy(rendered: Rendered) -> None:
    """The deploy role trusts GitHub's tokens of one repository's one branch, and the account's provider where named."""
    (statement,) = rendered.resources["DeployRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Federated": "<OidcProvider>"}
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": "repo:owner/name:ref:refs/heads/main",
        }
    }
    there = Rendered(GitHubOidcProviderArn="arn:provider")
    assert "OidcProvider" not in there.resources
    assert "arn:provider" in str(there.resources["DeployRole"])


@pytest.mark.parametrize(
    ("alarm", "seconds"), [("NoTickAlarm", 65 * 60), ("HaltAlarm", 3600), ("ErrorAlarm", 300)]
)
def test_each_alarm_watches_a_metric_that_a_filter_makes(
    rendered: Rendered, alarm: str, seconds: int
) -> None:
    """Names match, the span is what the alarm says, silence is alarming only where ticks are counted."""
    watched = rendered.resources[alarm]["Properties"]
    made = {
        (t["MetricNamespace"], t["MetricName"])
        for f in rendered.of_type("AWS::Logs::MetricFilter").values()
        for t in f["MetricTransformations"]
    }
    assert (watched["Namespace"], watched["MetricName"]) in made
    assert watched["Period"] * watched["EvaluationPeriods"] == seconds
    assert watched["TreatMissingData"] == ("breaching" if alarm == "NoTickAlarm" else "notBreaching")
    assert watched["AlarmActions"] == ["<Notices>"]
    assert Rendered().resources[alarm]["Properties"]["AlarmActions"] is None


def test_parameters_are_those_of_the_template() -> None:
    """parameters.json names every parameter of the template and no other."""
    import json

    from tests.infra.stack_kit import load

    given = json.loads((TEMPLATE.with_name("parameters.json")).read_text())
    assert [p["ParameterKey"] for p in given] == list(load()["Parameters"])


def test_every_file_that_the_image_copies_travels(tmp_path: Path) -> None:
    """What the Dockerfile copies is let through by .dockerignore, and nothing else is."""
    copied = set()
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            copied |= set(line.split()[1:-1])
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert copied == let_through
    assert all((ROOT / name).exists() for name in copied)
