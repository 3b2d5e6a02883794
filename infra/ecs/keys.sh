#!/usr/bin/env bash
# Put the venue's keys where only the bot's tasks read them. They are asked for, and stand in no history and no list
# of processes:   infra/ecs/keys.sh STACK
set -euo pipefail
stack=${1:?usage: infra/ecs/keys.sh STACK}
for name in api-key api-secret; do
    read -rsp "$name: " value
    echo
    printf '%s' "$value" | python3 -c 'import json, sys
print(json.dumps({"Name": sys.argv[1], "Type": "SecureString", "Overwrite": True, "Value": sys.stdin.read()}))' \
        "/$stack/$name" | aws ssm put-parameter --cli-input-json file:///dev/stdin --query Version --output text
done
