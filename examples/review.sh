#!/bin/sh
# A review by several: each has a session with a copy of its own, all look at once, and what the last one says is
# JSON that parses as it stands. An agent's command line would take the place of the last command.
export SHELLHERD_STATE_DIR=target/examples/state
export SHELLHERD_SHELL=bash # what the commands are written for
exec shellherd call \
  session_create '{"name": "review-origin", "workingDirectory": "target/examples/review", "createWorkingDirectory": true}' \
  command_execute '{"sessionId": "review-origin", "command":
    "rm -rf origin style secrets && mkdir origin && printf \"let total = 1  \\npassword = x\\n\" > origin/app.txt"}' \
  session_create '{"name": "review-style", "workingDirectory": "target/examples/review", "env": {"LOOK_FOR": " $"}}' \
  session_create '{"name": "review-secrets", "workingDirectory": "target/examples/review", "env": {"LOOK_FOR": "password"}}' \
  command_execute '{"sessionId": "review-style", "command": "cp -r origin style && cd style"}' \
  command_execute '{"sessionId": "review-secrets", "command": "cp -r origin secrets && cd secrets"}' \
  command_broadcast '{"sessions": ["review-style", "review-secrets"], "command": "grep -n \"$LOOK_FOR\" app.txt"}' \
  command_execute '{"sessionId": "review-secrets", "command":
    "printf \"{\\\"file\\\": \\\"app.txt\\\", \\\"findings\\\": %d}\" $(grep -c \"$LOOK_FOR\" app.txt)"}' \
  session_close '{"pattern": "review-*"}'
