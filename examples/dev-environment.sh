#!/bin/sh
# What runs all day while one writes code, each on a terminal of its own: set up by commands in a row, started
# at once, looked at together, stopped with everything that it started. Stand-ins for real servers.
export SHELLHERD_STATE_DIR=target/examples/state
export SHELLHERD_SHELL=bash # what the commands are written for
exec shellherd call \
  session_create '{"name": "setup", "workingDirectory": "target/examples/dev", "createWorkingDirectory": true}' \
  command_batch '{"sessionId": "setup", "commands": [
    "rm -rf app && mkdir -p app/web app/api && cd app",
    "printf \"PORT=8080\\n\" > api/settings && . ./api/settings",
    "echo set up in $(basename \"$PWD\") for port $PORT"]}' \
  session_create '{"name": "dev-web", "workingDirectory": "target/examples/dev/app/web",
    "command": "echo web is ready; exec sleep 1000"}' \
  session_create '{"name": "dev-api", "workingDirectory": "target/examples/dev/app/api",
    "command": "echo api is ready; exec sleep 1000"}' \
  session_create '{"name": "dev-log", "workingDirectory": "target/examples/dev/app",
    "command": "touch access.log; exec tail -f access.log"}' \
  session_create '{"name": "dev-tests", "workingDirectory": "target/examples/dev/app",
    "command": "while :; do date > last-test; sleep 1; done"}' \
  session_output '{"sessionId": "dev-api", "wait": {"until": "match", "pattern": "api is ready", "timeout": "30s"}}' \
  session_list '{"name": "dev-*", "status": ["active"]}' \
  session_close '{"pattern": "dev-*"}'
