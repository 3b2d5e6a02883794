#!/usr/bin/env bash
# The steps of deploy.yml, also for a person with AWS credentials:
#   STACK=hourly-trader infra/ecs/deploy.sh image|candidate|promote|smoke|rollback
# Settings: STACK, VENUE (testnet), SYMBOL (BTCUSDT), TRACKERS (no), BEGIN (false), COMMIT (the checked out one).
set -euo pipefail
cd "$(dirname "$0")/../.."

stack=${STACK:-hourly-trader}
commit=${COMMIT:-$(git rev-parse HEAD)}
answer=$(aws cloudformation describe-stacks --stack-name "$stack")

output() { # NAME: one output of the stack
    python3 -c 'import json, sys
stack, = json.loads(sys.argv[1])["Stacks"]
print({o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}[sys.argv[2]])' "$answer" "$1"
}

repository=$(output RepositoryUri)
tag=$commit
if [ "${TRACKERS:-no}" = yes ]; then tag=$commit-trackers; fi
image=$repository:$tag

image() { # build and push, unless this commit's image is there
    if aws ecr describe-images --repository-name "$stack" --image-ids "imageTag=$tag" --query 'imageDetails[0].imageDigest'; then
        return
    fi
    make image IMAGE="$image" TRACKERS="${TRACKERS:-no}"
    python3 infra/image/smoke.py --image "$image"
    aws ecr get-login-password | docker login --username AWS --password-stdin "${repository%%/*}"
    docker push --quiet "$image"
}

register() { # FAMILY: a new revision with this commit's image; prints its name
    local family=$1 file
    file=$(mktemp)
    python3 infra/ecs/render.py --family "$family" --image "$image" --venue "${VENUE:-testnet}" \
        --symbol "${SYMBOL:-BTCUSDT}" <<<"$answer" >"$file"
    aws ecs register-task-definition --cli-input-json "file://$file" \
        --query 'join(`:`, [taskDefinition.family, to_string(taskDefinition.revision)])' --output text
}

run_task() { # REVISION ARGUMENT...: one task to its end; fails as it does, and says what it said
    local revision=$1 overrides task code
    shift
    overrides=$(python3 -c 'import json, sys
print(json.dumps({"containerOverrides": [{"name": "trader", "command": sys.argv[1:]}]}))' "$@")
    task=$(aws ecs run-task --cluster "$stack" --task-definition "$revision" --launch-type FARGATE \
        --network-configuration "awsvpcConfiguration={subnets=[$(output Subnets)],securityGroups=[$(output SecurityGroup)],assignPublicIp=ENABLED}" \
        --overrides "$overrides" --query 'tasks[0].taskArn' --output text)
    aws ecs wait tasks-stopped --cluster "$stack" --tasks "$task"
    aws logs get-log-events --log-group-name "$(output LogGroup)" --log-stream-name "trader/trader/${task##*/}" \
        --query 'events[].message' --output text || true
    code=$(aws ecs describe-tasks --cluster "$stack" --tasks "$task" --query 'tasks[0].containers[0].exitCode' --output text)
    echo "trader $* in $revision ended with $code"
    [ "$code" = 0 ]
}

candidate() { # in a family of its own, which no schedule starts
    local revision failed=0
    revision=$(register "$stack-candidate")
    if [ "${BEGIN:-false}" = true ]; then run_task "$revision" retrain || failed=1; fi
    if [ "$failed" = 0 ]; then run_task "$revision" tick --dry || failed=1; fi
    aws ecs deregister-task-definition --task-definition "$revision" --query taskDefinition.status --output text
    return "$failed"
}

settle() { # REVISION: the warm service runs it and is stable; without a service nothing is to do
    if [ "$(output Mode)" = service ]; then
        aws ecs update-service --cluster "$stack" --service "$stack" --task-definition "$1" --query service.status --output text
        aws ecs wait services-stable --cluster "$stack" --services "$stack"
    fi
}

promote() { # the newest active revision is what schedules start
    settle "$(register "$stack")"
}

newest() { # the newest active revision
    aws ecs describe-task-definition --task-definition "$stack" \
        --query 'join(`:`, [taskDefinition.family, to_string(taskDefinition.revision)])' --output text
}

smoke() {
    run_task "$(newest)" tick --dry
}

rollback() { # without the newest revision, the one before it is the newest
    local revision before current
    revision=$(newest)
    current=$(aws ecs describe-task-definition --task-definition "$revision" \
        --query 'taskDefinition.containerDefinitions[0].image' --output text)
    if [ "$current" != "$image" ]; then
        echo "$revision does not run $image; nothing is to roll back"
        return
    fi
    aws ecs deregister-task-definition --task-definition "$revision" --query taskDefinition.status --output text
    before=$(newest)
    settle "$before"
    echo "rolled back from $revision to $before"
}

case "${1:-}" in
    image | candidate | promote | smoke | rollback) "$1" ;;
    *) echo "usage: infra/ecs/deploy.sh image|candidate|promote|smoke|rollback" >&2; exit 2 ;;
esac
