#!/bin/bash
# A client in a few lines of bash: the protocol's own messages, a line each way. What any language does that can
# start a program and write to it.
export SHELLHERD_STATE_DIR=target/examples/state
coproc server { exec shellherd serve; }
id=0
ask() {
  id=$((id + 1))
  printf '{"jsonrpc": "2.0", "id": %d, "method": "%s", "params": %s}\n' "$id" "$1" "$2" >&"${server[1]}"
  # Notifications may come in between; an answer has the id of its question.
  while read -r line <&"${server[0]}"; do
    case $line in *"\"id\":$id,"* | *"\"id\":$id}"*) printf '%s\n' "$line"; return;; esac
  done
  return 1
}
ask initialize '{"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bash", "version": "5"}}' &&
  printf '{"jsonrpc": "2.0", "method": "notifications/initialized"}\n' >&"${server[1]}" &&
  ask tools/call '{"name": "session_create", "arguments": {"name": "dev", "workingDirectory": "/tmp"}}' &&
  ask tools/call '{"name": "command_execute", "arguments": {"sessionId": "dev", "command": "echo built", "timeout": 30000}}' &&
  ask tools/call '{"name": "session_status", "arguments": {"sessionId": "dev"}}' &&
  ask tools/call '{"name": "session_output", "arguments": {"sessionId": "dev"}}' &&
  ask tools/call '{"name": "session_list", "arguments": {}}' &&
  ask tools/call '{"name": "session_close", "arguments": {"sessionId": "dev"}}' &&
  ask tools/call '{"name": "health_check", "arguments": {}}'
status=$?
server_pid=$server_PID
exec {server[1]}>&-
wait "$server_pid" && exit "$status"
