#!/bin/sh
# What is wrong, why, and which call mends it: in a session, in all of them, or with a message that somebody saw.
export SHELLHERD_STATE_DIR=target/examples/state
export SHELLHERD_SHELL=bash # what the commands are written for
exec shellherd call \
  session_create '{"name": "api"}' \
  session_create '{"name": "batch"}' \
  session_input '{"sessionId": "api", "text": "echo \"Error: connect ECONNREFUSED 127.0.0.1:5432\"; false", "enter": true,
    "wait": {"until": "idle", "timeout": "30s"}}' \
  command_execute '{"sessionId": "batch", "command": "exit 3", "okExitCodes": "any"}' \
  events_poll '{"types": ["status", "error", "termination"], "sessionId": "batch", "wait": "30s"}' \
  diagnose '{"problem": "Error: connect ECONNREFUSED 127.0.0.1:5432"}' \
  diagnose '{"sessionId": "batch"}' \
  session_logs '{"sessionId": "batch", "lines": 100}' \
  health_check '{"detailed": true}' \
  performance_monitor '{"detailed": true}' \
  session_stats \
  metrics_export '{"format": "prometheus"}'
