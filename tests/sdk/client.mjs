// The server as a client of the official TypeScript SDK meets it: node client.mjs PROGRAM stdio|http

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { CallToolResultSchema, ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

const [program, way] = process.argv.slice(2);
const scratch = mkdtempSync(join(tmpdir(), "shellherd-sdk-"));
const flag = (name) => join(scratch, name);

const args = ["serve", "--state-dir", join(scratch, "state")];
const env = { PATH: process.env.PATH, HOME: scratch, SHELL: "/bin/bash" };
let listening;

async function listen() {
  listening = spawn(program, [...args, "--http", "127.0.0.1:0"], { env, stdio: ["ignore", "ignore", "pipe"] });
  let told = "";
  for await (const text of listening.stderr.iterator({ destroyOnReturn: false })) {
    told += text;
    const found = /(http:\S+)[^]*(Bearer [0-9a-f]+)/.exec(told);
    if (found) {
      const requestInit = { headers: { Authorization: found[2] } };
      return new StreamableHTTPClientTransport(new URL(found[1]), { requestInit });
    }
  }
  return assert.fail(`the server does not listen: ${told}`);
}

async function connect() {
  const transport = way === "http" ? await listen() : new StdioClientTransport({ command: program, args, env });
  const client = new Client({ name: "sdk-test", version: "1" });
  await client.connect(transport);
  return client;
}

// Ends the connection, and with it the server.
async function close(client) {
  await client.transport.terminateSession?.();
  await client.close();
  if (listening) {
    listening.kill("SIGTERM");
    assert.deepEqual(await once(listening, "exit"), [0, null]);
    listening = undefined;
  }
}

async function call(client, name, args, options) {
  const result = await client.callTool({ name, arguments: args }, CallToolResultSchema, options);
  assert.ok(!result.isError, `${name}: ${JSON.stringify(result)}`);
  return result.structuredContent;
}

async function until(what, condition) {
  for (let tries = 0; !(await condition()); tries += 1) {
    assert.ok(tries < 400, `waited in vain: ${what}`);
    await pause(25);
  }
}

async function main() {
  let client = await connect();
  assert.equal(client.getServerVersion().name, "shellherd");
  // From here on the SDK checks each result against the schema of its tool.
  const { tools } = await client.listTools();
  assert.ok(tools.some((tool) => tool.name === "task_distribute"), "no task_distribute");

  const { sessionId } = await call(client, "session_create", { name: "sdk", shell: "bash", profile: "clean" });
  const ran = await call(client, "command_execute", { sessionId, command: "echo {1..3}; exit_code() { return 3; }; exit_code || echo \"was $?\"" });
  assert.deepEqual([ran.exitCode, ran.output.trimEnd()], [0, "1 2 3\nwas 3"]);
  const failed = await client.callTool({ name: "command_execute", arguments: { sessionId, command: "(exit 7)" } });
  assert.deepEqual([failed.isError, failed.structuredContent.exitCode], [true, 7]);

  // Nothing ends before the first report of progress has come.
  const { runId } = await call(client, "task_distribute", {
    tasks: [
      { id: "first", command: `until [ -e ${flag("progress")} ]; do sleep 0.05; done; echo one` },
      { id: "second", command: "echo two", dependencies: ["first"] },
      { id: "third", command: "echo three", dependencies: ["second"] },
    ],
  });
  const reports = [];
  const done = await call(client, "task_status", { runId, wait: 20_000 }, {
    onprogress: (report) => {
      reports.push(report.progress);
      writeFileSync(flag("progress"), "");
    },
  });
  assert.equal(done.summary.completed, 3, JSON.stringify(done));
  assert.ok(reports.length > 0 && reports.every((value, at) => at === 0 || value > reports[at - 1]), `${reports}`);

  // A call that is cancelled ends; its command goes on.
  const abort = new AbortController();
  const waiting = call(client, "command_execute", {
    sessionId,
    command: `touch ${flag("started")}; until [ -e ${flag("go")} ]; do sleep 0.05; done; echo "went on"`,
  }, { signal: abort.signal });
  const ended = assert.rejects(waiting);
  await until("the command runs", () => existsSync(flag("started")));
  abort.abort("enough");
  await ended;

  let updates = 0;
  const uri = `session://${sessionId}/output`;
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
    updates += params.uri === uri ? 1 : 0;
  });
  await client.subscribeResource({ uri });
  writeFileSync(flag("go"), "");
  await until("an update of the output", () => updates > 0);
  await until("the command's last words", async () => {
    const { contents } = await client.readResource({ uri });
    return contents[0].text.includes("\nwent on");
  });
  await close(client);

  client = await connect();
  const { sessions } = await call(client, "session_list", {});
  assert.equal(sessions.find((session) => session.sessionId === sessionId)?.status, "terminated");
  const { contents } = await client.readResource({ uri });
  assert.match(contents[0].text, /was 3[^]*went on/);
  const { summary } = await call(client, "task_status", { runId });
  assert.equal(summary.completed, 3);
  await close(client);
  console.log(`TypeScript SDK, ${way}: ${tools.length} tools, ${reports.length} reports of progress, ${updates} updates`);
}

try {
  await main();
} finally {
  listening?.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
}
