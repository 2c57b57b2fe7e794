#!/bin/sh
# Suites of tests side by side, one session for each; a suite that fails is a result like the others, with its exit
# code and output. Then what two of the sessions hold, and an end of all.
export SHELLHERD_STATE_DIR=target/examples/state
export SHELLHERD_SHELL=bash # what the commands are written for
exec shellherd call \
  session_create '{"name": "test-sort", "env": {"SUITE": "sort"}}' \
  session_create '{"name": "test-cut", "env": {"SUITE": "cut"}}' \
  session_create '{"name": "test-join", "env": {"SUITE": "join"}}' \
  task_distribute '{"tasks": [
    {"id": "sort", "sessionId": "test-sort", "timeout": "5m", "command": "printf \"b\\na\\n\" | sort && echo $SUITE: ok"},
    {"id": "cut", "sessionId": "test-cut", "timeout": "5m", "command": "echo 1,2 | cut -d, -f2 && echo $SUITE: ok"},
    {"id": "join", "sessionId": "test-join", "timeout": "5m", "command": "echo \"error: $SUITE: 1 failed\"; exit 1"}]}' \
  task_status '{"taskIds": ["sort", "cut", "join"], "wait": "50s"}' \
  session_output '{"sessionId": "test-sort", "lines": 100}' \
  session_output '{"sessionId": "test-join", "errorsOnly": true}' \
  session_close '{"pattern": "test-*"}'
