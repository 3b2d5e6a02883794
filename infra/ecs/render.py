"""Fill task-definition.json from a stack's outputs. Standard library only: deploy.yml calls it on a bare runner.

    aws cloudformation describe-stacks --stack-name NAME | python3 infra/ecs/render.py --family NAME --image URI

Reads the answer of `describe-stacks` on standard input and prints what `aws ecs register-task-definition
--cli-input-json` takes. A placeholder that nothing fills ends with an error.
"""

from __future__ import annotations

import argparse
import json
import string
import sys
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("task-definition.json")
VENUES = ("testnet", "demo")


def outputs_of(answer: dict[str, Any]) -> dict[str, str]:
    """The outputs of the one stack in an answer of describe-stacks."""
    (stack,) = answer["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def filled(value: Any, values: dict[str, str]) -> Any:
    """The same JSON with `${Name}` replaced in its strings. Raises KeyError for a name without a value."""
    if isinstance(value, dict):
        return {key: filled(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, values) for inner in value]
    return string.Template(value).substitute(values) if isinstance(value, str) else value


def render(outputs: dict[str, str], family: str, image: str, venue: str, symbol: str) -> dict[str, Any]:
    """The task definition to register."""
    values = {**outputs, "Family": family, "Image": image, "Venue": venue, "Symbol": symbol}
    task: dict[str, Any] = filled(json.loads(TEMPLATE.read_text()), values)
    return task


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--venue", default="testnet", choices=VENUES)
    parser.add_argument("--symbol", default="BTCUSDT")
    given = parser.parse_args()
    try:
        task = render(outputs_of(json.load(sys.stdin)), given.family, given.image, given.venue, given.symbol)
    except KeyError as error:
        sys.exit(f"render.py: the stack has no output {error}; update it from infra/ecs/stack.yaml")
    print(json.dumps(task, indent=2))


if __name__ == "__main__":
    main()
