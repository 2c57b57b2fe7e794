#!/bin/sh
# Sessions that mend themselves, and how to mend one by hand: a shell that is killed comes back where it was; a
# command that hangs is interrupted, then killed, then its session is reset; one that takes too much is ended.
export SHELLHERD_STATE_DIR=target/examples/state
export SHELLHERD_SHELL=bash # what the commands are written for
exec shellherd call \
  session_create '{"name": "sturdy", "workingDirectory": "target/examples", "createWorkingDirectory": true,
    "recovery": {"enabled": true, "maxRetries": 5, "retryDelay": "100ms"},
    "resourceLimits": {"maxMemory": "512mb"}, "commandTimeout": "10m"}' \
  command_execute '{"sessionId": "sturdy", "command": "export KEPT=yes"}' \
  health_check '{"sessionId": "sturdy", "detailed": true}' \
  command_execute '{"sessionId": "sturdy", "command": "sh -c '\''kill -9 $PPID'\''", "background": true}' \
  events_poll '{"types": ["recovery"], "sessionId": "sturdy", "wait": "30s"}' \
  error_recover '{"sessionId": "sturdy", "strategy": "restart", "maxRetries": 3}' \
  command_execute '{"sessionId": "sturdy", "command": "echo kept: $KEPT in $(basename \"$PWD\")"}' \
  command_execute '{"sessionId": "sturdy", "background": true,
    "command": "sh -c \"trap : INT; echo it hangs; while :; do sleep 1; done\""}' \
  session_output '{"sessionId": "sturdy", "wait": {"until": "match", "pattern": "it hangs", "timeout": "30s"}}' \
  session_status '{"sessionId": "sturdy"}' \
  command_signal '{"sessionId": "sturdy", "signal": "SIGINT"}' \
  session_reset '{"sessionId": "sturdy"}' \
  session_status '{"sessionId": "sturdy"}' \
  performance_monitor '{"sessionId": "sturdy", "metrics": ["memory"]}' \
  session_snapshot '{"sessionId": "sturdy"}' \
  session_stats
