"""client.py URL FOLDER SECONDS: an MCP client that signs its person in, asks who they are, and SECONDS later once more.

Each answer is a line of its output. What it was given is kept in FOLDER, as its documentation shows, one line for each time.
"""

import asyncio
import pathlib
import sys
import webbrowser
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

url, folder, seconds = sys.argv[1], pathlib.Path(sys.argv[2]), float(sys.argv[3])


class Kept:
    """Lines of a file, the last of which counts."""

    def __init__(self, name, model):
        self.file, self.model = folder / name, model

    async def get(self):
        return self.model.model_validate_json(self.file.read_text().splitlines()[-1]) if self.file.exists() else None

    async def set(self, value):
        with self.file.open("a") as file:
            file.write(value.model_dump_json(exclude_none=True) + "\n")


class Storage:
    tokens, client_info = Kept("tokens", OAuthToken), Kept("client", OAuthClientInformationFull)
    get_tokens, set_tokens = tokens.get, tokens.set
    get_client_info, set_client_info = client_info.get, client_info.set


async def main():
    answered = asyncio.get_running_loop().create_future()

    async def on_redirect(reader, writer):
        target = (await reader.readline()).split()[1].decode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        given = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        answered.set_result(AuthorizationCodeResult(code=given["code"], state=given.get("state"), iss=given.get("iss")))

    async def open_browser(address):
        await asyncio.to_thread(webbrowser.open, address)

    async def answer():
        return await answered

    listener = await asyncio.start_server(on_redirect, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    auth = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(client_name="A Python agent", redirect_uris=[AnyUrl(f"http://127.0.0.1:{port}/callback")]),
        storage=Storage(),
        redirect_handler=open_browser,
        callback_handler=answer,
    )
    async with httpx2.AsyncClient(auth=auth) as http_client, Client(streamable_http_client(url, http_client=http_client)) as client:
        for pause in (0, seconds):
            await asyncio.sleep(pause)
            print((await client.call_tool("whoami", {})).content[0].text, flush=True)


asyncio.run(main())
