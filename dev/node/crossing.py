"""Carry a process, or a TCP connection, into another process's namespaces.

Run as a file, not imported, so that it starts in no time and needs nothing of the tree:

    crossing.py run PID DIRECTORY PROGRAM ARGUMENTS…    the program, in all namespaces of PID
    crossing.py in PID ADDRESS:PORT                     a free port of 127.0.0.1 leads to that address in PID's network
    crossing.py out PID ADDRESS:PORT TARGET-PORT        that address in PID's network leads to a port of 127.0.0.1

A socket stays in the network in which it was made, whatever its process does afterwards. That is all that a bridge
between two networks needs: no interface, no route and no address outside, so nothing to collide with or leave behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    what, pid, *arguments = sys.argv[1:]
    if what == "run":
        directory, *command = arguments
        sys.exit(_run(pid, directory, command))
    address, _, port = arguments[0].rpartition(":")
    if what == "in":
        listener = _listen("127.0.0.1", 0)
        _enter(pid, "net")
        target = (address, int(port))
    else:
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        _enter(pid, "net")
        listener = _listen(address, int(port))
        _set_namespace(home)
        target = ("127.0.0.1", int(arguments[1]))
    print(f"READY {listener.getsockname()[1]}", flush=True)
    asyncio.run(_serve(listener, target))


def _enter(pid: str, *kinds: str) -> None:
    handles = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]  # all, while this /proc is in sight
    for handle in handles:
        _set_namespace(handle)
        os.close(handle)


def _set_namespace(handle: int) -> None:
    if _libc.setns(handle, 0):
        raise OSError(ctypes.get_errno(), "setns")


def _run(pid: str, directory: str, command: list[str]) -> int:
    """Run the program as a child, because only children are born into another PID namespace; pass signals on."""
    _enter(pid, "pid", "net", "mnt")
    child = os.fork()
    if not child:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.chdir(directory)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr)
            os._exit(127)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda seen, _frame: os.kill(child, seen))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


def _listen(address: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(128)
    return listener


async def _serve(listener: socket.socket, target: tuple[str, int]) -> None:
    async def bridge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(*target)
        except OSError:
            writer.transport.abort()  # a reset: what a client sees when nobody listens there
            return
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))

    server = await asyncio.start_server(bridge, sock=listener)
    await server.serve_forever()


async def _pump(reader: Any, writer: Any) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            return
    writer.transport.abort()


if __name__ == "__main__":
    main()
