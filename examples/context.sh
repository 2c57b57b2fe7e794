#!/bin/sh
# A conversation kept with a session, read back whole, by its last messages or within a budget, and compressed to
# what decides or tells of an error. The original stays.
export SHELLHERD_STATE_DIR=target/examples/state
exec shellherd call \
  session_create '{"name": "talk"}' \
  context_add '{"sessionId": "talk", "role": "system", "content": "You look after the server of this project.", "tokenCount": 9}' \
  context_add '{"sessionId": "talk", "role": "user", "content": "Make an interface to look after users.", "tokenCount": 8}' \
  context_add '{"sessionId": "talk", "role": "assistant", "content": "First the structure: a router, a store, and tests for each of the two."}' \
  context_add '{"sessionId": "talk", "role": "tool", "content": "error: cannot find type `User` in this scope"}' \
  context_add '{"sessionId": "talk", "role": "assistant", "content": "The type comes into a module of its own."}' \
  context_get '{"sessionId": "talk", "recent": 2}' \
  context_get '{"sessionId": "talk", "maxTokens": 40}' \
  context_compress '{"sessionId": "talk", "strategy": "aggressive", "keepRecent": 1, "summary": "router, store, tests"}' \
  context_get '{"sessionId": "talk"}' \
  context_get '{"sessionId": "talk", "original": true}'
