"""A template as CloudFormation would see it: references resolved, conditions decided; and an IAM policy's verdict."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "infra" / "ecs" / "stack.yaml"
STACK, ACCOUNT, REGION = "hourly-trader", "123456789012", "eu-west-1"
PSEUDO = {
    "AWS::StackName": STACK,
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/1",
    "AWS::NoValue": None,
}


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags read as their long forms."""


def _short_form(loader: Loader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        value = value.split(".", 1) if suffix == "GetAtt" else value
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _short_form)


def load() -> dict[str, Any]:
    """The template as it is written."""
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader)  # noqa: S506 - a safe loader with more tags
    return template


class Rendered:
    """The template for given parameters: `resources` that its conditions create, with every function resolved.

    What only AWS could know is written as `<Logical>` or `<Logical.Attribute>`.
    """

    def __init__(self, **parameters: str) -> None:
        template = load()
        declared = {name: str(p.get("Default", "")) for name, p in template["Parameters"].items()}
        self._names = {**PSEUDO, **declared, "GitHubRepository": "owner/name", **parameters}
        self._conditions = template["Conditions"]
        self.resources = {
            name: self._resolve({k: v for k, v in body.items() if k != "Condition"})
            for name, body in template["Resources"].items()
            if "Condition" not in body or self._holds(body["Condition"])
        }

    def of_type(self, kind: str) -> dict[str, Any]:
        """Properties of every resource of a type, by logical name."""
        found = {n: r.get("Properties", {}) for n, r in self.resources.items() if r["Type"] == kind}
        assert found, f"no {kind} in the template"
        return found

    def statements(self, role: str) -> list[dict[str, Any]]:
        """Every statement of a role's own policies."""
        policies = self.resources[role]["Properties"]["Policies"]
        return [s for policy in policies for s in policy["PolicyDocument"]["Statement"]]

    def _holds(self, name: str) -> bool:
        return bool(self._resolve(self._conditions[name]))

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolve(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._function(name.removeprefix("Fn::"), argument)
        return {key: self._resolve(inner) for key, inner in value.items()}

    def _function(self, name: str, argument: Any) -> Any:
        if name == "Ref":
            return self._names.get(argument, f"<{argument}>")
        if name == "GetAtt":
            return f"<{'.'.join(argument)}>"
        if name == "Sub":
            return re.sub(r"\$\{([^}]+)\}", lambda m: str(self._names.get(m[1], f"<{m[1]}>")), argument)
        if name == "If":
            return self._resolve(argument[1 if self._holds(argument[0]) else 2])
        if name == "Equals":
            return self._resolve(argument[0]) == self._resolve(argument[1])
        if name == "Not":
            return not self._resolve(argument[0])
        if name == "Select":
            return f"<zone {argument[0]}>"
        raise AssertionError(f"the tests do not know Fn::{name} yet")


def as_list(value: Any) -> list[Any]:
    """IAM lets one item stand for a list of one."""
    return value if isinstance(value, list) else [value]


def _condition_holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Equality and patterns; a key that the request does not carry fails."""
    for operator, tests in condition.items():
        assert operator in ("StringEquals", "StringLike", "ArnEquals"), operator
        for key, patterns in tests.items():
            if not any(fnmatchcase(context.get(key, "\0"), str(p)) for p in as_list(patterns)):
                return False
    return True


def allows(
    statements: list[dict[str, Any]], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """True where one Allow statement covers the action on the resource, in this context."""
    return any(
        statement["Effect"] == "Allow"
        and any(fnmatchcase(action, pattern) for pattern in as_list(statement["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in as_list(statement["Resource"]))
        and _condition_holds(statement.get("Condition", {}), context or {})
        for statement in statements
    )


def denies(
    statements: list[dict[str, Any]], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """True where one Deny statement that knows no condition, or one that a key is missing, covers the action on the resource."""
    return any(
        statement["Effect"] == "Deny"
        and action in as_list(statement["Action"])
        and any(fnmatchcase(resource, pattern) for pattern in as_list(statement["Resource"]))
        and all(key not in (context or {}) for key in statement.get("Condition", {}).get("Null", {}))
        for statement in statements
    )


def actions(statements: list[dict[str, Any]]) -> Iterator[str]:
    """Every action that is allowed anywhere."""
    for statement in statements:
        yield from as_list(statement["Action"])
