#!/usr/bin/env bash
# Remove everything but the bucket: the journal is the bot's memory, and only you throw it away.
#   infra/ecs/teardown.sh STACK
set -euo pipefail
stack=${1:?usage: infra/ecs/teardown.sh STACK}
bucket=$(aws cloudformation describe-stacks --stack-name "$stack" \
    --query "Stacks[0].Outputs[?OutputKey=='Bucket'].OutputValue" --output text)
aws cloudformation delete-stack --stack-name "$stack"
aws cloudformation wait stack-delete-complete --stack-name "$stack"
for revision in $(aws ecs list-task-definitions --family-prefix "$stack" --query 'taskDefinitionArns' --output text); do
    aws ecs deregister-task-definition --task-definition "$revision" --query taskDefinition.status --output text
done
aws ssm delete-parameters --names "/$stack/api-key" "/$stack/api-secret"
echo "gone, but for the bucket $bucket. To delete the journal too, empty it with all versions in the console, then:"
echo "    aws s3 rb s3://$bucket"
