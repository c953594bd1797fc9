"""MLLP peers that we did not write: PyPI's `hl7`; npm's node-hl7-server, node-hl7-client and @medplum/hl7."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hl7.mllp import HL7StreamReader, HL7StreamWriter, open_hl7_connection, start_hl7_server

from agent.commands.demo.orthanc import free_ports

PACKAGES = ("node-hl7-server@2.5.0", "@medplum/hl7@5.0.10", "@medplum/core@5.0.10")
SCRIPT = Path(__file__).with_name("hl7_peer.cjs")
WITHIN_S = 60.0
Keys = dict[str, str]


@dataclass
class Receiving:
    """A running receiver: its port, and what it received (MSH-10, OBR-25, PID-3.1, PID-5.1)."""

    port: int
    came: queue.Queue[tuple[str, str, str, str]] = field(default_factory=queue.Queue)

    def next(self) -> tuple[str, str, str, str]:
        """Wait for the next message."""
        return self.came.get(timeout=WITHIN_S)


def installed(npm: str) -> Path | None:
    """Return the folder of npm's modules, from the user's cache or from npm; None without a connection."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "echo-agent"
    folder = cache / "hl7-peers-1"
    if not (folder / "installed").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}', "utf-8")
        command = [npm, "install", "--ignore-scripts", "--silent", "--no-audit", "--no-fund", *PACKAGES]
        fetched = subprocess.run(command, cwd=folder, capture_output=True, timeout=280, check=False)
        if fetched.returncode != 0:
            return None
        (folder / "installed").touch()
    return folder / "node_modules"


class NodePeers:
    """The peers on npm's packages; `keys` are the files key, cert and ca of TLS."""

    def __init__(self, node: str, modules: Path) -> None:
        self._node, self._modules = node, modules

    @contextmanager
    def receiving(
        self, library: str, *, enhanced: bool = False, keys: Keys | None = None
    ) -> Iterator[Receiving]:
        """A receiver while the block runs."""
        (port,) = free_ports(1)
        process = self._start("receive", library, port, enhanced, keys)
        assert process.stdout is not None
        reading: threading.Thread | None = None
        try:
            assert process.stdout.readline().strip() == "ready"
            found = Receiving(port)
            reading = threading.Thread(target=_read, args=(process.stdout, found), daemon=True)
            reading.start()
            yield found
        finally:
            process.kill()
            process.wait()
            if reading is not None:
                reading.join(WITHIN_S)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def send(
        self,
        library: str,
        port: int,
        messages: Sequence[bytes],
        *,
        enhanced: bool = False,
        keys: Keys | None = None,
    ) -> list[tuple[str, str]]:
        """Send messages; return MSA-1 and MSA-2 of the last answer to each."""
        process = self._start("send", library, port, enhanced, keys)
        said, _ = process.communicate(json.dumps([one.decode() for one in messages]), timeout=WITHIN_S)
        return [(code, control_id) for code, control_id in json.loads(said)]

    def _start(
        self, role: str, library: str, port: int, enhanced: bool, keys: Keys | None
    ) -> subprocess.Popen[str]:
        options = json.dumps({"enhanced": enhanced, **(keys or {})})
        return subprocess.Popen(
            [self._node, str(SCRIPT), role, library, str(port), options],
            env={**os.environ, "NODE_PATH": str(self._modules)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


def _read(lines: Iterator[str], found: Receiving) -> None:
    with suppress(ValueError):  # closed at the end
        for line in lines:
            one = json.loads(line)
            found.came.put((one["control_id"], one["status"], one["patient"], one["name"]))


@contextmanager
def python_receiving(*, enhanced: bool = False, context: ssl.SSLContext | None = None) -> Iterator[Receiving]:
    """A receiver on PyPI's `hl7` while the block runs."""
    loop, found = asyncio.new_event_loop(), Receiving(0)

    async def serve(reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        try:
            while True:
                message = await reader.readmessage()
                pid = message.segment("PID")
                found.came.put(
                    (
                        str(message.segment("MSH")[10]),
                        str(message.segment("OBR")[25]),
                        str(pid[3][0][0]),
                        str(pid[5][0][0]),
                    )
                )
                for code in ("CA", "AA") if enhanced else ("AA",):
                    writer.writemessage(message.create_ack(code))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the sender has ended
        finally:
            writer.transport.abort()

    async def listen() -> asyncio.Server:
        return await start_hl7_server(serve, "127.0.0.1", 0, encoding="utf-8", ssl=context)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(WITHIN_S)
    found.port = int(server.sockets[0].getsockname()[1])
    try:
        yield found
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(WITHIN_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WITHIN_S)
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
    for one in others:
        one.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for _ in range(3):
        await asyncio.sleep(0)  # what an aborted transport has left to call


def python_send(
    port: int, messages: Sequence[bytes], *, answers: int = 1, context: ssl.SSLContext | None = None
) -> list[tuple[str, str]]:
    """Send messages with PyPI's `hl7`; return MSA-1 and MSA-2 of every answer."""

    async def talk() -> list[tuple[str, str]]:
        host = {} if context is None else {"server_hostname": "127.0.0.1"}
        reader, writer = await open_hl7_connection("127.0.0.1", port, encoding="utf-8", ssl=context, **host)
        found = []
        for one in messages:
            writer.writeblock(one)
            for _ in range(answers):
                answer = await asyncio.wait_for(reader.readmessage(), WITHIN_S)
                found.append((str(answer.segment("MSA")[1]), str(answer.segment("MSA")[2])))
        writer.close()
        await writer.wait_closed()
        return found

    return asyncio.run(talk())
