// Stands in for the models of all clients: node model.mjs FOLDER. Whatever it is told, it makes the calls of PLAN, one
// each turn, and then says that it is done. It writes its port, and what each client showed it, into FOLDER.
import { createServer } from "node:http";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.argv[2];
const PLAN = [
  ["session_create", () => ({ name: "build" })],
  ["command_execute", (sessionId) => ({ sessionId, command: "printf 'hello-%s\\n' $((6*7)); false", timeout: 20000 })],
  ["command_execute", (sessionId) => ({ sessionId, command: "cat", stdin: "all is well" })],
  ["session_close", (sessionId) => ({ sessionId })],
];

/** The next call, as the client names the tool; nothing when the plan is done. */
function next(names, results) {
  const step = PLAN[results.length];
  if (!step || names.length === 0) return undefined;
  const sessionId = /ses_[a-z0-9]+/.exec(results.join(" "))?.[0];
  return { name: names.find((name) => name.endsWith(step[0])) ?? step[0], arguments: step[1](sessionId) };
}

const plain = (content) => (typeof content === "string" ? content : JSON.stringify(content));
const id = (results) => `call_${results.length}`;

/** Each API: where it is, which tools it offers, what was shown of results, and an answer as events. */
const APIS = [
  {
    path: /\/messages$/,
    names: (body) => (body.tools ?? []).map((tool) => tool.name),
    results: (body) =>
      body.messages.flatMap((message) => (Array.isArray(message.content) ? message.content : []))
        .filter((block) => block.type === "tool_result").map((block) => plain(block.content)),
    answer(call, results) {
      const block = call
        ? { type: "tool_use", id: id(results), name: call.name, input: {} }
        : { type: "text", text: "" };
      const delta = call
        ? { type: "input_json_delta", partial_json: JSON.stringify(call.arguments) }
        : { type: "text_delta", text: "Done." };
      const usage = { input_tokens: 1, output_tokens: 1 };
      const message = {
        id: `msg_${results.length}`, type: "message", role: "assistant", model: "fake", content: [], stop_reason: null,
        stop_sequence: null, usage,
      };
      return [
        { type: "message_start", message },
        { type: "content_block_start", index: 0, content_block: block },
        { type: "content_block_delta", index: 0, delta },
        { type: "content_block_stop", index: 0 },
        { type: "message_delta", delta: { stop_reason: call ? "tool_use" : "end_turn", stop_sequence: null }, usage },
        { type: "message_stop" },
      ];
    },
  },
  {
    path: /\/responses$/,
    names: (body) => body.tools.flatMap((tool) => (tool.type === "namespace" ? tool.tools : [tool]))
      .map((tool) => tool.name).filter(Boolean),
    results: (body) =>
      body.input.filter((item) => item.type === "function_call_output").map((item) => plain(item.output)),
    answer(call, results, body) {
      const namespace = body.tools.find((tool) => tool.tools?.some((inner) => inner.name === call?.name))?.name;
      const item = call
        ? {
            type: "function_call", id: `fc_${results.length}`, call_id: id(results), name: call.name, namespace,
            arguments: JSON.stringify(call.arguments), status: "completed",
          }
        : {
            type: "message", role: "assistant", id: "msg_1", status: "completed",
            content: [{ type: "output_text", text: "Done.", annotations: [] }],
          };
      const response = { id: `resp_${results.length}`, output: [] };
      const usage = {
        input_tokens: 1, input_tokens_details: { cached_tokens: 0 }, output_tokens: 1,
        output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 2,
      };
      return [
        { type: "response.created", response: { ...response, status: "in_progress" } },
        { type: "response.output_item.added", output_index: 0, item },
        { type: "response.output_item.done", output_index: 0, item },
        { type: "response.completed", response: { ...response, status: "completed", output: [item], usage } },
      ];
    },
  },
  {
    path: /\/chat\/completions$/,
    names: (body) => (body.tools ?? []).map((tool) => tool.function.name),
    results: (body) =>
      body.messages.filter((message) => message.role === "tool").map((message) => plain(message.content)),
    answer(call, results) {
      const made = call && { name: call.name, arguments: JSON.stringify(call.arguments) };
      const delta = call
        ? { role: "assistant", tool_calls: [{ index: 0, id: id(results), type: "function", function: made }] }
        : { role: "assistant", content: "Done." };
      const chunk = { id: "c", object: "chat.completion.chunk", created: 1, model: "fake" };
      const finish_reason = call ? "tool_calls" : "stop";
      const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
      return [
        { ...chunk, choices: [{ index: 0, delta, finish_reason: null }] },
        { ...chunk, choices: [{ index: 0, delta: {}, finish_reason }], usage },
      ];
    },
  },
  {
    path: /:(streamG|g)enerateContent$/,
    names: (body) => (body.tools ?? []).flatMap((tool) => tool.functionDeclarations ?? []).map((tool) => tool.name),
    results: (body) =>
      body.contents.flatMap((content) => content.parts).filter((part) => part.functionResponse)
        .map((part) => plain(part.functionResponse.response)),
    answer(call, results) {
      const part = call
        ? { functionCall: { id: id(results), name: call.name, args: call.arguments } }
        : { text: "Done." };
      const usageMetadata = { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 };
      return [{ candidates: [{ content: { role: "model", parts: [part] }, finishReason: "STOP", index: 0 }], usageMetadata }];
    },
  },
];

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  // Each client has an address of its own: /NAME/….
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  const api = APIS.find(({ path }) => path.test(pathname));
  if (!api || request.method !== "POST") {
    response.writeHead(pathname.endsWith("/models") ? 200 : 404, { "content-type": "application/json" });
    response.end('{"object": "list", "data": [], "models": []}');
    return;
  }
  const body = JSON.parse(Buffer.concat(chunks));
  const names = api.names(body);
  const results = api.results(body);
  const call = next(names, results);
  if (names.length > 0) {
    const client = pathname.split("/")[1];
    appendFileSync(join(folder, `${client}.jsonl`), `${JSON.stringify({ tools: names, results })}\n`);
  }
  const events = api.answer(call, results, body);
  if (body.stream || searchParams.get("alt") === "sse") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const name = (event) => (event.type ? `event: ${event.type}\n` : "");
    response.end(events.map((event) => `${name(event)}data: ${JSON.stringify(event)}\n\n`).join(""));
  } else {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(events.at(-1)));
  }
});
server.listen(0, "127.0.0.1", () => writeFileSync(join(folder, "port"), String(server.address().port)));
