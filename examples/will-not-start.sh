#!/bin/sh
# A session that cannot be made says why, and what to do: its directory is missing, its shell is none, its terminal
# has no lines. Each is tried again as the hint says. doctor looks at the machine.
export SHELLHERD_STATE_DIR=target/examples/state
rm -rf target/examples/missing
shellherd call session_create '{"workingDirectory": "target/examples/missing"}'
shellherd call session_create '{"workingDirectory": "target/examples/missing", "createWorkingDirectory": true}'
shellherd call session_create '{"shell": "/nowhere/fish"}'
shellherd call session_create '{"shell": "sh"}'
shellherd call session_create '{"rows": 0, "cols": 0}'
shellherd call session_create '{"rows": 24, "cols": 80}'
shellherd doctor >&2
