"""What the libraries say at DEBUG while they carry secrets, in a process of its own: every level is turned up."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

CANARY = "cAnary7QxT9vLm2ZpK4wRs8"

PRELUDE = f"""
    import asyncio, gc, http.server, json, logging, threading
    from tolstoy_operator.observability.logs import configure_logging

    CANARY = "{CANARY}"

    class Echo(http.server.BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.dumps({{"SecretString": CANARY, "message": CANARY}}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Set-Cookie", CANARY)
            self.end_headers()
            self.wfile.write(body)
        do_GET = do_POST = answer
        def log_message(self, *_):
            pass

    status = 200
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{{server.server_port}}"
    log = logging.getLogger("tolstoy_operator.test")
    configure_logging("DEBUG")
    log.debug("begin")

    def loud():
        for name in list(logging.root.manager.loggerDict):
            logging.getLogger(name).setLevel(1)
"""

STORIES = {
    "boto3": """
        import boto3
        client = boto3.client("secretsmanager", "eu-west-1", endpoint_url=url, aws_access_key_id="AKIAQQQQQQQQQQQQQQQQ",
                              aws_secret_access_key=CANARY, aws_session_token=CANARY)
        loud()
        client.put_secret_value(SecretId="x", SecretString=CANARY)
        status = 400
        try:
            client.put_secret_value(SecretId="x", SecretString=CANARY)
        except Exception as error:
            log.exception("refused: %s", error)
    """,
    "httpx": """
        import httpx
        loud()
        headers = {"Authorization": "Bearer " + CANARY}
        httpx.post(url + "/?token=" + CANARY, data={"refresh_token": CANARY}, headers=headers)
        try:
            server.shutdown()
            server.server_close()
            httpx.get(url.replace("//", "//user:" + CANARY + "@"))
        except httpx.HTTPError as error:
            log.exception("unreachable: %s", error)
    """,
    "aiohttp": """
        import aiohttp
        async def main():
            loud()
            async with aiohttp.ClientSession() as session:
                async with session.post(url, json={"data": {"k": CANARY}}, headers={"Authorization": CANARY}) as answer:
                    await answer.text()
                try:
                    async with session.get(url, headers={"bad": CANARY + "\\n"}):
                        pass
                except ValueError as error:
                    log.exception("refused: %s", error)
        asyncio.run(main(), debug=True)
    """,
    "asyncio": """
        async def fail():
            raise ValueError(CANARY)
        async def main():
            loud()
            task = asyncio.create_task(fail())
            await asyncio.sleep(0.01)
            del task
            gc.collect()
            asyncio.get_running_loop().call_soon(lambda: int(CANARY))
            await asyncio.sleep(0.01)
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        asyncio.run(main(), debug=True)
    """,
    "pydantic": """
        from pydantic import BaseModel
        class Model(BaseModel):
            number: int
        threading.Thread(target=lambda: Model(number=CANARY)).start()
        Model(number=CANARY)
    """,
}


@pytest.mark.parametrize("story", STORIES)
def test_no_library_tells_a_secret(story: str) -> None:
    program = textwrap.dedent(PRELUDE) + textwrap.dedent(STORIES[story])
    command = [sys.executable, "-W", "default", "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    lines = [json.loads(line) for line in done.stderr.splitlines()]  # every line is ours, or this raises
    assert lines[0]["msg"] == "begin"
    assert CANARY not in done.stdout + done.stderr
    assert all("exc" in line for line in lines if line["level"] in {"error", "critical"})
    assert done.stdout == ""
    assert done.returncode == (1 if story in {"asyncio", "pydantic"} else 0), done.stderr
    if story != "aiohttp":
        assert any("exc" in line for line in lines)
