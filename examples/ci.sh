#!/bin/sh
# A pipeline in one session: stages in a row, each with its time, exit code and output; the first that fails ends
# it. onTimeout takes down what hangs. okExitCodes says that a failure is no news for the caller.
export SHELLHERD_STATE_DIR=target/examples/state
export SHELLHERD_SHELL=bash # what the commands are written for
exec shellherd call \
  session_create '{"name": "ci", "workingDirectory": "target/examples/ci", "createWorkingDirectory": true}' \
  command_execute '{"sessionId": "ci", "command": "rm -rf checkout && mkdir checkout && cd checkout && echo 3 > input"}' \
  command_batch '{"sessionId": "ci", "stopOnError": true, "timeout": "10m", "commands": [
    "test -s input && echo checked", "sed s/3/4/ input > output && cat output", "cmp input input && echo tested"]}' \
  command_execute '{"sessionId": "ci", "timeout": "10m", "onTimeout": "kill", "okExitCodes": [0, 1],
    "command": "cmp input output"}' \
  session_status '{"sessionId": "ci"}' \
  session_close '{"sessionId": "ci", "reason": "built"}'
