#!/bin/sh
# The life of a few sessions: made with settings, found, changed, used, looked at, closed, cleared away.
# A call prints its result as JSON; later calls name a session by its name.
export SHELLHERD_STATE_DIR=target/examples/state
export SHELLHERD_SHELL=bash # what the commands are written for
exec shellherd call \
  session_create '{
    "name": "lead", "type": "director", "workingDirectory": "target/examples/sessions", "createWorkingDirectory": true,
    "metadata": {"team": {"name": "core"}, "tasksAtOnce": 10}}' \
  session_create '{
    "name": "numbers", "type": "department", "workingDirectory": "target/examples/sessions",
    "capabilities": ["batch", "stream"], "constraints": ["max-memory:4gb", "cpu-priority:low"],
    "env": {"LEVEL": "info"}, "rows": 30, "cols": 120, "commandTimeout": "5m", "outputBufferSize": "4mb",
    "metadata": {"team": {"name": "data"}}}' \
  session_create '{"name": "onlooker", "type": "observer", "metadata": {"watches": ["lead", "numbers"]}}' \
  session_update '{
    "sessionId": "numbers", "capabilities": ["batch", "report"], "constraints": ["max-memory:8gb", "timeout:300000"],
    "metadata": {"done": 5}, "env": {"LEVEL": "debug"}}' \
  command_execute '{"sessionId": "numbers", "command": "echo level $LEVEL; pwd", "timeout": "30s"}' \
  session_output '{"sessionId": "numbers", "lines": 20}' \
  session_list '{"type": "department", "status": ["idle", "active"],
    "orderBy": [{"field": "lastActivity", "direction": "desc"}], "page": 1, "pageSize": 10}' \
  session_list '{"metadata": {"team.name": "data"}, "orderBy": [{"field": "createdAt", "direction": "asc"}]}' \
  session_list '{"query": "examples/sessions"}' \
  session_status '{"sessionId": "numbers", "detailed": true}' \
  session_stats \
  session_close '{"sessionId": "onlooker", "reason": "nothing left to see"}' \
  session_close '{"all": true}' \
  session_cleanup '{"olderThan": 0}' \
  session_list
