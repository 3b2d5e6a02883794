"""Least privilege, compared with what a recorded bot and a deployment really ask for."""

from __future__ import annotations

import re

import pytest

from tests.infra.conftest import Call, Recorded
from tests.infra.stack_kit import ACCOUNT, REGION, ROOT, STACK, Rendered, actions, allows, denies

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}"


def permitted(rendered: Rendered, call: Call) -> bool:
    """Whether the task role's policy lets a recorded request through."""
    statements = rendered.statements("TaskRole")
    if call.action == "s3:ListBucket":
        return allows(statements, call.action, "<Bucket.Arn>", {"s3:prefix": call.prefix})
    return allows(statements, call.action, f"<Bucket.Arn>/{call.key}")


def test_everything_that_a_bot_asked_for_is_allowed(rendered: Rendered, recorded: Recorded) -> None:
    """Ticks with and without an order, training, dry ticks, health, status and a halt stay within the task role."""
    refused = {
        (name, call)
        for name, calls in recorded.calls.items()
        for call in calls
        if not permitted(rendered, call)
    }
    assert refused == set()
    assert {"retrain", "tick", "dry", "retrain if due"} <= {
        name for name, calls in recorded.calls.items() if calls
    }


def test_everything_that_is_allowed_was_asked_for(rendered: Rendered, recorded: Recorded) -> None:
    """No action of the task role is there in case."""
    asked = {call.action for calls in recorded.calls.values() for call in calls}
    assert set(actions(rendered.statements("TaskRole"))) == asked


def test_everything_that_decides_was_created_and_not_overwritten(recorded: Recorded) -> None:
    """The bucket's policy refuses unconditional writes beneath journal/, state/ and models/: the bot makes each key once."""
    puts = [call.key for calls in recorded.calls.values() for call in calls if call.action == "s3:PutObject"]
    decided = [key for key in puts if any(f"/{room}/" in key for room in DECIDES)]
    assert len(decided) == len(set(decided)) > 5
    assert [key for key in decided if "/models/" in key] != []


DECIDES = ("journal", "state", "models", "tags")


def test_the_bucket_lets_nobody_change_what_decides(rendered: Rendered) -> None:
    """Whoever asks, with whatever rights: an object that decides is created if absent, and neither overwritten nor deleted. A
    page and a cache are written over."""
    (policy,) = rendered.of_type("AWS::S3::BucketPolicy").values()
    statements = policy["PolicyDocument"]["Statement"]
    assert {str(statement["Principal"]) for statement in statements} == {"*"}
    if_absent = {"s3:if-none-match": "*"}
    for room in DECIDES:
        key = f"<Bucket.Arn>/bot/{room}/x/y"
        assert denies(statements, "s3:PutObject", key)
        assert not denies(statements, "s3:PutObject", key, if_absent)
        for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
            assert denies(statements, action, key, if_absent)
    for key in ("dashboard/index.html", "results/BTCUSDT/2022/results.csv", "caches/BTCUSDT/recent.json"):
        assert not denies(statements, "s3:PutObject", f"<Bucket.Arn>/bot/{key}")


@pytest.mark.parametrize(
    "call",
    [
        Call("s3:GetObject", "other/key"),
        Call("s3:PutObject", "key"),
        Call("s3:DeleteObject", "bot/journal/BTCUSDT/2021/03/05T01/record"),
        Call("s3:ListBucket", "", ""),
        Call("s3:PutBucketPolicy", "bot/x"),
    ],
)
def test_what_a_bot_never_does_is_refused(rendered: Rendered, call: Call) -> None:
    """It reads and writes its own prefix; it deletes nothing and governs nothing."""
    assert not permitted(rendered, call)


# The AWS actions behind the commands that deploy.sh calls. Waiters ask the same as describe.
BEHIND = {
    "cloudformation describe-stacks": {"cloudformation:DescribeStacks"},
    "ecr describe-images": {"ecr:DescribeImages"},
    "ecr get-login-password": {"ecr:GetAuthorizationToken"},
    "ecs register-task-definition": {"ecs:RegisterTaskDefinition", "iam:PassRole"},
    "ecs deregister-task-definition": {"ecs:DeregisterTaskDefinition"},
    "ecs describe-task-definition": {"ecs:DescribeTaskDefinition"},
    "ecs run-task": {"ecs:RunTask", "iam:PassRole"},
    "ecs wait tasks-stopped": {"ecs:DescribeTasks"},
    "ecs describe-tasks": {"ecs:DescribeTasks"},
    "ecs update-service": {"ecs:UpdateService"},
    "ecs wait services-stable": {"ecs:DescribeServices"},
    "logs get-log-events": {"logs:GetLogEvents"},
}
PUSH = {
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
}


def test_the_deploy_role_may_do_what_deploy_sh_does_and_no_more(rendered: Rendered) -> None:
    """Every `aws` command of the script has its action in the role, and every action has its command."""
    text = (ROOT / "infra" / "ecs" / "deploy.sh").read_text()
    called = {" ".join(m.split()) for m in re.findall(r"\baws ((?:ecs wait|[a-z]+) [a-z-]+)", text)}
    assert called == set(BEHIND)
    needed = PUSH.union(*BEHIND.values())
    assert set(actions(rendered.statements("DeployRole"))) == needed


def test_the_deploy_role_reaches_this_bot_only(rendered: Rendered) -> None:
    """Its tasks, its cluster, its repository, its two roles; and roles are handed to tasks, to nothing else."""
    statements = rendered.statements("DeployRole")
    here = {"ecs:cluster": "<Cluster.Arn>"}
    for family in (STACK, f"{STACK}-candidate"):
        assert allows(statements, "ecs:RunTask", f"{ARN}:task-definition/{family}:7", here)
    assert not allows(statements, "ecs:RunTask", f"{ARN}:task-definition/{STACK}:7", {"ecs:cluster": "other"})
    assert not allows(statements, "ecs:RunTask", f"{ARN}:task-definition/other:7", here)
    assert not allows(statements, "ecr:PutImage", "<Other.Arn>")
    to_tasks = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    assert allows(statements, "iam:PassRole", "<TaskRole.Arn>", to_tasks)
    assert not allows(
        statements, "iam:PassRole", "<TaskRole.Arn>", {"iam:PassedToService": "ec2.amazonaws.com"}
    )
    assert not allows(statements, "iam:PassRole", "<DeployRole.Arn>", to_tasks)


def test_the_schedules_start_this_bot_and_nothing_else(rendered: Rendered) -> None:
    """RunTask on its own definition in its own cluster."""
    statements = rendered.statements("ScheduleRole")
    here = {"ecs:cluster": "<Cluster.Arn>"}
    assert allows(statements, "ecs:RunTask", f"{ARN}:task-definition/{STACK}:3", here)
    assert not allows(statements, "ecs:RunTask", f"{ARN}:task-definition/{STACK}-candidate:3", here)
    assert set(actions(statements)) == {"ecs:RunTask", "iam:PassRole"}


def test_no_role_allows_everything_of_a_service(rendered: Rendered) -> None:
    """No action is a pattern; a resource is `*` only where AWS knows none."""
    without_resource = {
        "ecr:GetAuthorizationToken",
        "ecs:RegisterTaskDefinition",
        "ecs:DeregisterTaskDefinition",
        "ecs:DescribeTaskDefinition",
    }
    for role in ("TaskRole", "ExecutionRole", "ScheduleRole", "DeployRole"):
        for statement in rendered.statements(role):
            assert not [action for action in actions([statement]) if "*" in action]
            if statement["Resource"] == "*":
                assert set(actions([statement])) <= without_resource
