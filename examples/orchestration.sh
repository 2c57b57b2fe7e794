#!/bin/sh
# A director and its departments, from the first session to an orderly end: made without starting, given what they
# may use, registered, started, looked after, closed, the departments before the director.
export SHELLHERD_STATE_DIR=target/examples/state
export SHELLHERD_SHELL=bash # what the commands are written for
exec shellherd call \
  session_create '{"name": "director", "type": "director", "autoStart": false, "metadata": {"tasksAtOnce": 10}}' \
  session_create '{"name": "intake", "type": "department", "autoStart": false, "capabilities": ["task-processing"],
    "constraints": ["max-memory:2gb"], "metadata": {"area": "data"}}' \
  session_create '{"name": "checks", "type": "department", "autoStart": false, "capabilities": ["task-processing"],
    "constraints": ["max-memory:2gb"], "metadata": {"area": "checks"}}' \
  session_start '{"sessionId": "director", "resources": {"memory": "512m", "cpu": "2", "disk": "1g"}}' \
  session_start '{"sessionId": "intake"}' \
  session_start '{"sessionId": "checks"}' \
  agent_register '{"sessionId": "director"}' \
  agent_register '{"sessionId": "intake", "messageTypes": ["COMMAND", "PROGRESS_REPORT", "ERROR"], "priority": "high"}' \
  agent_register '{"sessionId": "checks"}' \
  task_distribute '{"tasks": [
    {"id": "take-in", "command": "echo 7 numbers", "requirements": ["task-processing"]},
    {"id": "check", "command": "echo all well", "requirements": ["task-processing"], "dependencies": ["take-in"]}]}' \
  task_status '{"taskIds": ["take-in", "check"], "wait": "50s"}' \
  health_check '{"sessionId": "director"}' \
  session_stats \
  performance_monitor '{"sessionId": "director"}' \
  events_poll '{"types": ["status"]}' \
  agent_deregister '{"agentId": "checks", "timeout": 5000}' \
  session_close '{"all": true, "mode": "graceful", "timeout": "10s", "reason": "the work is done"}'
