#!/bin/sh
# Settings under a name, for sessions that differ in little; and a pool of warm sessions, never more than it says.
export SHELLHERD_STATE_DIR=target/examples/state
export SHELLHERD_SHELL=bash # what the commands are written for
exec shellherd call \
  template_create '{"name": "numbers", "type": "department", "environmentVariables": {"LEVEL": "info", "JOBS": "10"},
    "baseConfig": {"capabilities": ["batch", "checks"], "constraints": ["max-memory:4gb"],
      "metadata": {"area": "numbers", "rank": {"team": 1}}}}' \
  session_create '{"name": "my-numbers", "template": "numbers", "workingDirectory": "target/examples/pool",
    "createWorkingDirectory": true, "overrides": {"metadata": {"rank": {"own": 2}}, "env": {"LEVEL": "debug"}}}' \
  command_execute '{"sessionId": "my-numbers", "command": "echo $LEVEL $JOBS"}' \
  session_status '{"sessionId": "my-numbers"}' \
  pool_create '{"name": "builders", "size": 2, "config": {"env": {"LEVEL": "info"}, "constraints": ["max-memory:4gb"]}}' \
  pool_execute '{"pool": "builders", "command": "cd /; LEVEL=lost; echo built", "timeout": "1m"}' \
  pool_execute '{"pool": "builders", "command": "echo still $LEVEL"}' \
  pool_status '{"name": "builders"}' \
  pool_delete '{"name": "builders"}' \
  template_list \
  template_delete '{"name": "numbers"}'
