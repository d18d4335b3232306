"""`StreamClient` against real WebSocket servers on free ports, which follow a script."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from service.terminal.stream_client import StreamClient, StreamError

QUICK = {"backoff_s": 0.01, "longest_backoff_s": 0.04}
Handler = Callable[[ServerConnection], Awaitable[None]]


def frame(*ids: int) -> str:
    """One message with these rows."""
    rows = [{"id": number} for number in ids]
    return json.dumps([{"type": "epoch_end", "run_id": 3, "cursor": ids[-1], "rows": rows}])


HEARTBEAT = json.dumps([{"type": "heartbeat", "run_id": 3, "cursor": None}])


def asked_after(connection: ServerConnection) -> int:
    return int(parse_qs(urlsplit(connection.request.path).query)["after"][0])


@asynccontextmanager
async def serving(handler: Handler, *, port: int = 0, **options) -> AsyncIterator[tuple[Server, str]]:
    async with serve(handler, "127.0.0.1", port, **options) as server:
        yield server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def read_ids(reader: StreamClient, *, until: int) -> list[int]:
    ids: list[int] = []
    async with asyncio.timeout(10), aclosing(reader.frames()) as frames:
        async for messages in frames:
            ids += [row["id"] for message in messages for row in message.get("rows", ())]
            if ids and ids[-1] >= until:
                return ids
    raise AssertionError("the reader has ended by itself")


async def refused(reader: StreamClient) -> StreamError:
    with pytest.raises(StreamError) as caught:
        await read_ids(reader, until=1)
    return caught.value


def test_it_resumes_at_the_cursor_wherever_the_connection_breaks():
    asked = []

    async def two_rows_then_gone(connection):
        after = asked_after(connection)
        asked.append((urlsplit(connection.request.path).path, after))
        await connection.send(frame(after + 1, after + 2))
        connection.transport.abort()

    async def main():
        async with serving(two_rows_then_gone) as (_, url):
            reader = StreamClient(url, path="/ws/runs/3", after=4, **QUICK)
            assert await read_ids(reader, until=10) == [5, 6, 7, 8, 9, 10]
            assert reader.cursor == 10

    asyncio.run(main())
    assert asked == [("/ws/runs/3", 4), ("/ws/runs/3", 6), ("/ws/runs/3", 8)]


def test_a_server_that_is_gone_for_a_while_is_waited_for():
    async def rows(connection):
        after = asked_after(connection)
        await connection.send(frame(after + 1))
        await connection.wait_closed()

    async def main():
        seen = []
        async with serving(rows) as (server, url):
            port = server.sockets[0].getsockname()[1]
            reader = StreamClient(url, path="/ws/runs/3", **QUICK)
            reader.on_change = lambda connection: seen.append(connection)
            reading = asyncio.create_task(read_ids(reader, until=2))
            while reader.cursor != 1:
                await asyncio.sleep(0.005)
        while sum(connection.state == "waiting" for connection in seen) < 3:
            await asyncio.sleep(0.005)
        async with serving(rows, port=port):
            assert await reading == [1, 2]
        return seen

    seen = asyncio.run(main())
    states = [connection.state for connection in seen]
    assert states[:3] == ["connecting", "live", "waiting"]
    assert states[-2:] == ["connecting", "live"]
    assert {first for first, then in pairwise(states) if then == "connecting"} == {"waiting"}
    assert all(connection.reason for connection in seen if connection.state == "waiting")


def test_waits_are_random_and_bounded():
    waits = []

    async def once(connection):
        await connection.send(HEARTBEAT)
        await connection.close()

    async def main():
        async with serving(once) as (_, url):
            reader = StreamClient(url, path="/ws/runs", after=None, backoff_s=0.01, longest_backoff_s=0.04)
            reader.on_change = note
            frames = reader.frames()
            await anext(frames)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await anext(frames)

    def note(connection):
        if connection.state == "waiting":
            waits.append(connection.retry_at - time.monotonic())

    asyncio.run(main())
    assert len(waits) >= 5
    assert len({round(wait, 6) for wait in waits}) == len(waits)
    assert all(wait <= most for wait, most in zip(waits, [0.01, 0.02] + [0.04] * len(waits), strict=False))


def test_nobody_there_is_an_error_at_once():
    error = asyncio.run(refused(StreamClient("http://127.0.0.1:9", path="/ws/runs/3")))
    assert "no fedtwin server at http://127.0.0.1:9" in str(error)
    assert "`fedtwin serve`" in str(error)


@pytest.mark.parametrize(("code", "text"), [(4401, "--token"), (4403, "forbidden"), (4404, "no such run")])
def test_a_refusal_is_an_error_and_not_asked_again(code, text):
    asked = []

    async def refuse(connection):
        asked.append(connection)
        await connection.close(code)

    async def main():
        async with serving(refuse) as (_, url):
            return await refused(StreamClient(url, path="/ws/runs/3", **QUICK))

    assert text in str(asyncio.run(main()))
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "text"), [(401, "--token"), (403, "forbidden"), (404, "no such run"), (421, "--allow-host")]
)
def test_so_is_one_before_the_websocket_is_open(status, text):
    def refuse(connection, request):
        return connection.respond(HTTPStatus(status), "no")

    async def main():
        async with serving(lambda connection: connection.wait_closed(), process_request=refuse) as (_, url):
            return await refused(StreamClient(url, path="/ws/runs/3", **QUICK))

    assert text in str(asyncio.run(main()))


def test_a_server_that_is_busy_is_asked_again_even_the_first_time():
    asked = []

    def busy_at_first(connection, request):
        asked.append(request.path)
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "later") if len(asked) == 1 else None

    async def busy_then_open(connection):
        if len(asked) == 2:
            await connection.close(1013)
        else:
            await connection.send(frame(1))

    async def main():
        async with serving(busy_then_open, process_request=busy_at_first) as (_, url):
            return await read_ids(StreamClient(url, path="/ws/runs/3", **QUICK), until=1)

    assert asyncio.run(main()) == [1]
    assert len(asked) == 3


def test_silence_counts_as_a_lost_connection():
    async def silent_after_a_row(connection):
        await connection.send(frame(asked_after(connection) + 1))
        await connection.wait_closed()

    async def main():
        reasons = []
        async with serving(silent_after_a_row) as (_, url):
            reader = StreamClient(url, path="/ws/runs/3", silence_s=0.05, **QUICK)
            reader.on_change = lambda connection: reasons.append(connection.reason)
            assert await read_ids(reader, until=3) == [1, 2, 3]
        return reasons

    assert "no data for 0.05 s" in asyncio.run(main())


def test_the_token_goes_in_a_header_and_the_prefix_of_a_proxy_stays():
    requests = []

    async def main():
        async def rows(connection):
            requests.append(connection.request)
            await connection.send(frame(1))

        async with serving(rows) as (_, url):
            await read_ids(StreamClient(f"{url}/live/", path="/ws/runs/3", token="secret"), until=1)

    asyncio.run(main())
    (request,) = requests
    assert request.path == "/live/ws/runs/3?after=0"
    assert request.headers["Authorization"] == "Bearer secret"
    assert "Origin" not in request.headers


def test_https_is_encrypted():
    heard = []

    async def listen(reader, writer):
        heard.append(await reader.read(1))
        writer.close()

    async def main():
        async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await refused(StreamClient(f"https://127.0.0.1:{port}", path="/ws/runs/3"))

    assert "no fedtwin server at https://" in str(asyncio.run(main()))
    assert heard == [b"\x16"]  # a TLS handshake


@pytest.mark.parametrize("text", ["no JSON", "[1]", '{"type": "x"}'])
def test_what_is_no_fedtwin_server_is_named(text):
    async def main():
        async with serving(lambda connection: connection.send(text)) as (_, url):
            return await refused(StreamClient(url, path="/ws/runs/3"))

    assert "not a fedtwin server" in str(asyncio.run(main()))


@pytest.mark.parametrize("address", ["127.0.0.1:8765", "ftp://x", "http://", "http://x:99999", "http://[x"])
def test_what_is_no_address_is_named(address):
    with pytest.raises(StreamError, match=r"expected a URL such as http://127\.0\.0\.1:8765"):
        StreamClient(address, path="/ws/runs")
