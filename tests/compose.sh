#!/usr/bin/env bash
# Builds the containers, waits until all are healthy, makes the README's first calls through the published
# ports, and takes all down. Bounded in time; leaves nothing running.
set -euo pipefail
cd "$(dirname "$0")/.."

if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
export COMPOSE_PROJECT_NAME=finstage-test

finish() {
  status=$?
  if [ "$status" != 0 ]; then "${compose[@]}" ps; "${compose[@]}" logs --tail=40 --no-color; fi
  "${compose[@]}" down --volumes --timeout 10 >/dev/null 2>&1 || true
  exit "$status"
}
trap finish EXIT

"${compose[@]}" build
"${compose[@]}" up -d

services=(price indicators ingest sim redis postgres)
for _ in $(seq 90); do
  healthy=0
  for service in "${services[@]}"; do
    id=$("${compose[@]}" ps -q "$service")
    state=$(docker inspect --format '{{.State.Health.Status}}' "$id" 2>/dev/null || echo none)
    [ "$state" = healthy ] && healthy=$((healthy + 1))
  done
  [ "$healthy" = "${#services[@]}" ] && break
  sleep 2
done
[ "$healthy" = "${#services[@]}" ] || { echo "only $healthy of ${#services[@]} containers became healthy" >&2; exit 1; }
echo "all ${#services[@]} containers are healthy"

[ -x .venv/bin/python ] || { echo "run make test first: the calls are made from .venv" >&2; exit 1; }
FINSTAGE_TEST_RUNNING=compose .venv/bin/python -m pytest tests/e2e/test_first_calls.py
