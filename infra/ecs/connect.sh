#!/usr/bin/env bash
# Tell this GitHub repository which role and region deploy.yml uses. Needs gh, signed in.
#   infra/ecs/connect.sh STACK
set -euo pipefail
stack=${1:?usage: infra/ecs/connect.sh STACK}
answer=$(aws cloudformation describe-stacks --stack-name "$stack")
python3 -c 'import json, sys
stack, = json.loads(sys.argv[1])["Stacks"]
found = {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}
print("AWS_ROLE=" + found["DeployRoleArn"], "AWS_REGION=" + found["Region"], "STACK=" + stack["StackName"], sep="\n")
' "$answer" | gh variable set --env-file -
