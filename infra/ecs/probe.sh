#!/usr/bin/env bash
# Step 0: does Binance answer from here? Run it in the region that the bot will live in (AWS CloudShell has a shell
# in each). Sends no key. 451 means that Binance refuses this place: take another region.
set -u
refused=0
for url in https://testnet.binance.vision/api/v3/time https://demo-api.binance.com/api/v3/time \
    https://data-api.binance.vision/api/v3/time; do
    code=$(curl --silent --output /dev/null --max-time 15 --write-out '%{http_code}' "$url")
    case "$code" in
        200) said="answers" ;;
        451) said="refuses this place (451)"; refused=1 ;;
        000) said="cannot be reached"; refused=1 ;;
        *) said="answered $code"; refused=1 ;;
    esac
    echo "$url $said"
done
exit "$refused"
