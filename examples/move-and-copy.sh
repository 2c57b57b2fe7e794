#!/bin/sh
# A session that moves, one that is copied, one whose tasks others take over; and one that comes back from a
# snapshot, in a server that was started later.
export SHELLHERD_STATE_DIR=target/examples/state
export SHELLHERD_SHELL=bash # what the commands are written for
set -e
mkdir -p target/examples/move
shellherd call \
  session_create '{"name": "front", "workingDirectory": "target/examples/move"}' \
  session_create '{"name": "back-1"}' \
  session_create '{"name": "back-2"}' \
  command_execute '{"sessionId": "front", "command": "mkdir -p there; export COLOUR=green"}' \
  session_migrate '{"sessionId": "front", "workingDirectory": "target/examples/move/there", "preserveState": true, "timeout": "1m"}' \
  session_clone '{"sessionId": "front", "name": "front-copy", "copyResources": true}' \
  command_execute '{"sessionId": "front-copy", "command": "echo $COLOUR in $(basename \"$PWD\")"}' \
  session_clone '{"sessionId": "front", "name": "front-new", "resetState": true}' \
  command_execute '{"sessionId": "front-new", "command": "echo ${COLOUR:-no colour} in $(basename \"$PWD\")"}' \
  session_affinity '{"sessionId": "front", "targets": ["back-*"], "strategy": "round-robin", "healthCheckInterval": "10s"}' \
  task_distribute '{"tasks": [
    {"id": "one", "command": "true", "sessionId": "front"}, {"id": "two", "command": "true", "sessionId": "front"}]}' \
  task_status '{"taskIds": ["one", "two"], "wait": "50s"}' \
  session_snapshot '{"sessionId": "front"}' |
  tee target/examples/move/first.json
snapshot=$(sed -n 's/.*"snapshotId": "\(.*\)".*/\1/p' target/examples/move/first.json)
exec shellherd call \
  session_restore "{\"snapshotId\": \"$snapshot\"}" \
  command_execute '{"sessionId": "front", "command": "echo $COLOUR again"}'
