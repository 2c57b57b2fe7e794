#!/usr/bin/env python3
"""Makes the same calls to several MCP servers for commands, over stdio, and prints what came of them as a table:

    benches/peers/run target/release/shellherd

Each server is asked in the way that suits it best: where it has sessions, in a session; where it has a call to go
on reading, that is used until all is there. A cell says what was seen, nothing of what a server promises.
"""

import json
import os
import queue
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE = 20
MEGABYTE = "head -c 1000000 /dev/zero | tr '\\0' a | fold -w 99"
FAILING = "sh -c 'exit $((1 + 2))'"
PROMPT = "printf 'Name? '; read x; echo got $x | tee {}"
CALLS = 40
SILENT = f"the call does not return in {PATIENCE} s"


class Client:
    def __init__(self, command):
        self.home = tempfile.mkdtemp(prefix="peer-")
        environment = {**os.environ, "HOME": self.home, "XDG_STATE_HOME": self.home, "SHELL": "/bin/bash"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment, cwd=self.home,
        )  # fmt: skip
        self.lines, self.id = queue.Queue(), 0
        threading.Thread(target=self.read, daemon=True).start()
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "peers", "version": "1"}}
        self.ask("initialize", hello, 60)
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)

    def write(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def ask(self, method, params, patience=PATIENCE):
        self.id += 1
        self.write({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params})
        end = time.monotonic() + patience
        while True:
            line = self.lines.get(timeout=max(0.0, end - time.monotonic()))
            # Some print other things between the messages.
            try:
                message = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(message, dict) and message.get("id") == self.id:
                return message.get("result", message)

    def call(self, tool, patience=PATIENCE, **arguments):
        return self.ask("tools/call", {"name": tool, "arguments": arguments}, patience)

    def end(self):
        self.process.kill()
        self.process.wait()


def text(result):
    return "\n".join(block.get("text", "") for block in result.get("content", []))


class Shellherd(Client):
    def begin(self):
        self.session = self.call("session_create", name="peer")["structuredContent"]["sessionId"]

    def run(self, command, **more):
        return self.call("command_execute", sessionId=self.session, command=command, **more)

    in_state = run

    def large(self, command):
        result = self.run(command)["structuredContent"]
        total, read, lines = result["totalLines"], "", 0
        while lines < total:
            part = self.call("session_output", sessionId=self.session, commandId=result["commandId"],
                             range=f"{lines + 1}-{min(total, lines + 250)}")["structuredContent"]  # fmt: skip
            read += part["output"] + "\n"
            lines += 250
        return read

    def asks(self, command):
        return self.run(command)["structuredContent"].get("awaitingInput", False)

    def answer(self, words):
        return text(self.call("session_input", sessionId=self.session, text=words, enter=True,
                              wait={"until": "idle", "timeout": "5s"}))  # fmt: skip

    def serve(self, command):
        self.run(command, background=True)

    once = run


class DesktopCommander(Client):
    def begin(self):
        self.shell = self.pid(self.start("bash", 500))

    def start(self, command, timeout):
        return self.call("start_process", command=command, timeout_ms=timeout)

    def pid(self, result):
        return int(re.search(r"PID (\d+)", text(result))[1])

    def run(self, command):
        result = self.start(command, 5000)
        if "running" not in text(result):
            more = self.call("read_process_output", pid=self.pid(result), timeout_ms=1000)
            result["content"] += more.get("content", [])
        return result

    def once(self, command):
        return self.start(command, 5000)

    def in_state(self, command):
        return self.call("interact_with_process", pid=self.shell, input=command, timeout_ms=3000)

    def large(self, command):
        result = self.start(command, 5000)
        pid, read, lines = self.pid(result), "", 0
        for _ in range(60):
            part = text(self.call("read_process_output", pid=pid, timeout_ms=1000, offset=lines, length=1000))
            found = re.findall(r"^a+$", part, re.M)
            if not found:
                break
            read += "\n".join(found) + "\n"
            lines += len(found)
        return read

    def asks(self, command):
        result = self.start(command, 5000)
        self.asking = self.pid(result)
        return "waiting for input" in text(result)

    def answer(self, words):
        answered = text(self.call("interact_with_process", pid=self.asking, input=words, timeout_ms=3000))
        return answered + text(self.call("read_process_output", pid=self.asking, timeout_ms=3000, offset=-20))

    def serve(self, command):
        self.start(command, 500)


class OneCall(Client):
    """A server with a call that runs a command to its end, and nothing that lasts."""

    tool, background = "run", None

    def begin(self):
        pass

    def run(self, command):
        return self.call(self.tool, command=command)

    in_state = once = run

    def large(self, command):
        return text(self.run(command))

    def asks(self, command):
        self.run(command)
        return False

    def answer(self, words):
        return ""

    def serve(self, command):
        if self.background:
            self.call(self.background, command=command)
        else:
            self.call(self.tool, command=f"{command} > /dev/null 2>&1 &")


class ServerCommands(OneCall):
    tool = "run_command"


class BashCommand(OneCall):
    background = "run_background"


def asked(what):
    """What a question gives; an answer that does not come is one as well."""
    try:
        return what()
    except queue.Empty:
        return None


def alive(marker):
    return subprocess.run(["pgrep", "-f", f"sleep {marker}"], capture_output=True).returncode == 0


def look(kind, command):
    client = kind(command)
    client.begin()
    row = {}

    result = asked(lambda: client.run(FAILING))
    structured = (result or {}).get("structuredContent", {})
    told = structured.get("exitCode") == 3 or re.search(r"(code|exit)\D{0,12}\b3\b", text(result or {}), re.I)
    row["exit code told"] = "yes" if told else "no"

    read = asked(lambda: client.large(MEGABYTE)) or ""
    count = len("".join(re.findall(r"^a+$", read, re.M)))
    row["1 MB of output can be had"] = "whole" if count == 1_000_000 else f"{count // 1000} kB of it"

    asked(lambda: client.in_state("cd /tmp && export KEPT=yes"))
    kept = asked(lambda: client.in_state("echo $PWD-$KEPT"))
    row["`cd` and `export` last"] = "yes" if kept and "/tmp-yes" in text(kept) else "no"

    client.once("true")
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        client.once("true")
        times.append(time.perf_counter() - start)
    row["`true`, median"] = f"{statistics.median(times) * 1000:.1f} ms"

    marker = f"9{os.getpid()}.{time.monotonic_ns() % 10**6}"
    asked(lambda: client.serve(f"sleep {marker}"))
    time.sleep(0.5)
    started = alive(marker)
    client.process.send_signal(signal.SIGKILL)
    client.process.wait()
    end = time.monotonic() + 3
    while alive(marker) and time.monotonic() < end:
        time.sleep(0.05)
    left = alive(marker)
    subprocess.run(["pkill", "-f", f"^sleep {marker}"])
    row["`kill -9`: what it started is"] = ("left running" if left else "gone") if started else "was not started"

    row["a script that reads a line"] = prompted(kind, command)
    client = kind(command)
    client.begin()
    seen = asked(lambda: client.asks("python3 -i"))
    row["a Python prompt"] = seen is None and SILENT or ("recognised" if seen else "not recognised")
    client.end()
    return row


def prompted(kind, command):
    client = kind(command)
    client.begin()
    file = os.path.join(client.home, "got")
    recognised = asked(lambda: client.asks(PROMPT.format(file)))
    if recognised is None:
        client.end()
        return SILENT
    shown = "got you" in (asked(lambda: client.answer("you")) or "")
    client.end()
    reached = os.path.exists(file) and "got you" in open(file).read()
    words = ["recognised" if recognised else "not recognised"]
    words.append("answered" if reached else "not answered")
    if reached and not shown:
        words.append("what it then says is not shown")
    return ", ".join(words)


def main():
    program, modules = sys.argv[1], sys.argv[2]
    bin_of = lambda name: [os.path.join(modules, "node_modules", ".bin", name)]  # noqa: E731
    servers = {
        "shellherd": (Shellherd, [program, "serve"]),
        "desktop-commander": (DesktopCommander, bin_of("desktop-commander")),
        "mcp-server-commands": (ServerCommands, bin_of("mcp-server-commands")),
        "bash-command-mcp": (BashCommand, bin_of("bash-command-mcp")),
    }
    rows = {name: look(*how) for name, how in servers.items()}
    print("| |", " | ".join(rows), "|")
    print("|---" * (len(rows) + 1) + "|")
    for question in rows["shellherd"]:
        print("|", question, "|", " | ".join(row[question] for row in rows.values()), "|")


main()
