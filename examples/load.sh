#!/bin/sh
# Two generators of load at once, and what the machine and each of them use meanwhile; then what they say.
export SHELLHERD_STATE_DIR=target/examples/state
export SHELLHERD_SHELL=bash # what the commands are written for
exec shellherd call \
  session_create '{"name": "load-1"}' \
  session_create '{"name": "load-2"}' \
  command_broadcast '{"sessions": ["load-*"], "wait": 0, "command":
    "i=0; while [ $i -lt 20 ]; do i=$((i + 1)); echo request $i; sleep 0.05; done; echo done $i"}' \
  performance_monitor '{"metrics": ["cpu", "memory", "network"], "interval": "300ms"}' \
  session_output '{"sessionId": "load-1", "wait": {"until": "match", "pattern": "done 20", "timeout": "50s"}, "lines": 1000}' \
  session_output '{"sessionId": "load-2", "wait": {"until": "match", "pattern": "done 20", "timeout": "50s"}, "grep": "done"}' \
  performance_history '{"duration": "1m"}' \
  session_close '{"pattern": "load-*"}'
