"""The server as a client of the official Python SDK meets it, in both eras: python client.py PROGRAM"""

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

import anyio
from mcp import Client, MCPDeprecationWarning, StdioServerParameters, types

# The older era's way to subscribe is what one half of this is about.
warnings.simplefilter("ignore", MCPDeprecationWarning)


async def call(client: Client, name: str, arguments: dict, **options) -> dict:
    result = await client.call_tool(name, arguments, **options)
    assert not result.is_error, f"{name}: {result}"
    return result.structured_content


async def until(what: str, condition) -> None:
    for _ in range(400):
        if await condition():
            return
        await anyio.sleep(0.025)
    raise AssertionError(f"waited in vain: {what}")


async def text(client: Client, uri: str) -> str:
    read = await client.read_resource(uri)
    return read.contents[0].text


async def meet(program: str, mode: str, scratch: Path) -> None:
    server = StdioServerParameters(
        command=program,
        args=["serve", "--state-dir", str(scratch / "state")],
        env={"PATH": os.environ["PATH"], "HOME": str(scratch), "SHELL": "/bin/bash"},
    )
    updated = anyio.Event()

    async def on_message(message) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            updated.set()

    async with Client(server, mode=mode, message_handler=on_message) as client:
        version = client.protocol_version
        tools = (await client.list_tools()).tools
        assert any(tool.name == "task_distribute" for tool in tools)

        session = await call(client, "session_create", {"name": "sdk", "shell": "bash", "profile": "clean"})
        session_id = session["sessionId"]
        command = 'echo {1..3}; exit_code() { return 3; }; exit_code || echo "was $?"'
        ran = await call(client, "command_execute", {"sessionId": session_id, "command": command})
        assert (ran["exitCode"], ran["output"].rstrip()) == (0, "1 2 3\nwas 3"), ran
        failed = await client.call_tool("command_execute", {"sessionId": session_id, "command": "(exit 7)"})
        assert failed.is_error and failed.structured_content["exitCode"] == 7, failed

        # Nothing ends before the first report of progress has come.
        tasks = [
            {"id": "first", "command": f"until [ -e {scratch}/progress ]; do sleep 0.05; done; echo one"},
            {"id": "second", "command": "echo two", "dependencies": ["first"]},
            {"id": "third", "command": "echo three", "dependencies": ["second"]},
        ]
        run_id = (await call(client, "task_distribute", {"tasks": tasks}))["runId"]
        reports = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            reports.append(progress)
            (scratch / "progress").touch()

        done = await call(client, "task_status", {"runId": run_id, "wait": 20_000}, progress_callback=on_progress)
        assert done["summary"]["completed"] == 3, done
        assert reports and all(a < b for a, b in zip(reports, reports[1:])), reports

        # A call that is cancelled ends; its command goes on.
        command = f'touch {scratch}/started; until [ -e {scratch}/go ]; do sleep 0.05; done; echo "went on"'

        async def wait() -> None:
            await call(client, "command_execute", {"sessionId": session_id, "command": command})
            raise AssertionError("the call was answered")

        async def started() -> bool:
            return (scratch / "started").exists()

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await until("the command runs", started)
            group.cancel_scope.cancel()

        uri = f"session://{session_id}/output"
        with anyio.fail_after(10):
            if mode == "legacy":
                await client.subscribe_resource(uri)
                (scratch / "go").touch()
                await updated.wait()
            else:
                async with client.listen(resource_subscriptions=[uri]) as subscription:
                    assert subscription.honored.resource_subscriptions == [uri], subscription.honored
                    (scratch / "go").touch()
                    await anext(subscription)

        async def went_on() -> bool:
            return "\nwent on" in await text(client, uri)

        await until("the command's last words", went_on)

    async with Client(server, mode=mode) as client:
        sessions = (await call(client, "session_list", {}))["sessions"]
        assert [s["status"] for s in sessions if s["sessionId"] == session_id] == ["terminated"], json.dumps(sessions)
        shown = await text(client, uri)
        assert "was 3" in shown and "went on" in shown, shown
        assert (await call(client, "task_status", {"runId": run_id}))["summary"]["completed"] == 3
    print(f"Python SDK, {version}: {len(tools)} tools, {len(reports)} reports of progress")


async def main() -> None:
    for mode in ["legacy", "auto"]:
        with tempfile.TemporaryDirectory(prefix="shellherd-sdk-") as scratch:
            with anyio.fail_after(20):
                await meet(sys.argv[1], mode, Path(scratch))


anyio.run(main)
