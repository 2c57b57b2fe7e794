#!/bin/sh
# Work that holds back while the machine is busy, and defaults that follow what the last hour was like.
export SHELLHERD_STATE_DIR=target/examples/state
export SHELLHERD_SHELL=bash # what the commands are written for
exec shellherd call \
  performance_monitor '{"metrics": ["cpu", "memory"]}' \
  task_distribute '{"strategy": "resource-aware", "resources": {"maxCpu": 100, "maxMemory": 99, "maxSessions": 2},
    "maxConcurrent": 4, "tasks": [
      {"id": "pack-a", "command": "seq 1000 | sha256sum", "priority": "high"},
      {"id": "pack-b", "command": "seq 2000 | sha256sum"},
      {"id": "pack-c", "command": "seq 3000 | sha256sum", "resourceLimits": {"maxMemory": "256mb"}}]}' \
  task_status '{"pattern": "pack-*", "wait": "50s"}' \
  progress_aggregate '{"pattern": "pack-*", "format": "detailed"}' \
  performance_history '{"duration": "1h", "resolution": "1m"}' \
  performance_tune '{"auto": true}' \
  performance_tune '{"maxConcurrent": 12, "commandTimeout": "10m"}'
