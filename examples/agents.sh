#!/bin/sh
# Agents with roles that hand work to each other. echo stands in for an agent's command line; without `command` it
# is `claude -p`, or what --agent-command says.
export SHELLHERD_STATE_DIR=target/examples/state
export SHELLHERD_SHELL=bash # what the commands are written for
exec shellherd call \
  session_create '{"name": "ui", "capabilities": ["typescript", "css"], "env": {"AGENT_ROLE": "ui"}}' \
  session_create '{"name": "server", "capabilities": ["rust", "api"], "env": {"AGENT_ROLE": "server"}}' \
  session_create '{"name": "tester", "capabilities": ["testing"], "env": {"AGENT_ROLE": "tester"}}' \
  agent_register '{"sessionId": "ui", "role": {"name": "ui", "framework": "react"}}' \
  agent_register '{"sessionId": "server", "role": "server"}' \
  agent_register '{"sessionId": "tester", "role": "tester"}' \
  message_send '{"from": "ui", "to": ["server"], "messageType": "DataShare", "priority": "high",
    "payload": {"wants": "schema", "paths": ["/users", "/users/{id}"]}}' \
  message_send '{"from": "server", "to": ["*"], "messageType": "Broadcast", "payload": {"built": "2.0", "breaking": []}}' \
  message_send '{"from": "server", "to": [{"capability": "testing"}], "messageType": "TaskRequest", "priority": "high",
    "payload": {"task": "test the new paths"}}' \
  message_receive '{"agentId": "tester", "wait": "10s", "ack": true}' \
  task_distribute '{"strategy": "capability", "tasks": [
    {"id": "form", "command": "echo form by $AGENT_ROLE", "requirements": ["typescript"], "priority": "high"},
    {"id": "sign-in", "command": "echo sign-in by $AGENT_ROLE", "requirements": ["rust", "api"], "priority": "high"},
    {"id": "tests", "command": "echo tests by $AGENT_ROLE", "requirements": ["testing"], "priority": "medium"}]}' \
  task_status '{"taskIds": ["form", "sign-in", "tests"], "wait": "50s"}' \
  agent_execute '{"agentId": "server", "prompt": "say what the structure of the project is", "command": "tr a-z A-Z",
    "timeout": "5m", "maxRetries": 3, "retryDelay": "10s", "resourceLimits": {"maxMemory": "512mb"}}' \
  agent_execute '{"agentId": "ui", "prompt": "build it", "command": "cat", "wait": "30s"}' \
  session_create '{"name": "writer", "agentRole": "frontend", "workingDirectory": "target/examples/agents",
    "createWorkingDirectory": true,
    "autoAccept": {"enabled": true, "riskThreshold": 3, "protectedPatterns": ["package.json", "*.env"]}}' \
  command_execute '{"sessionId": "writer", "command": "echo new > new.txt; echo old > page.txt; cp -i new.txt page.txt; cat page.txt"}' \
  events_poll '{"sessionId": "writer", "types": ["decision"]}' \
  progress_aggregate '{"format": "detailed"}' \
  performance_monitor '{"detailed": true}' \
  agent_list \
  session_close '{"all": true}'
