"""Beyond this machine a model server and its clients know each other by keys; whatever a server sends costs a client little."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
import zmq

from jpai_agent.language import failure
from jpai_agent.vlm import PlanAnswer, PlanRequest, VlmClient, VlmError
from jpai_agent.vlm.keys import CLIENT, CLIENTS, SERVER, ClientKeys, ServerKeys, clients, make_key, stays_here
from jpai_agent.vlm.server import VlmServer, main
from jpai_agent.world.keys import KeyFault, keys_dir

ASK = '{"decision":"ask","steps":[],"reason":"incomplete"}'
FRAME = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
REQUEST = PlanRequest("行って", {"front": FRAME})
TIMEOUT_S = 20.0  # so long that no refusal under test comes from it


class Fake:
    """A backend that always asks back."""

    name = "fake"

    def __init__(self) -> None:
        self.seen = 0

    def plan(self, request: PlanRequest) -> PlanAnswer:
        self.seen += 1
        return PlanAnswer(ASK, 0.5, {}, 1, 1, "fake")

    def warm(self, request: PlanRequest) -> None:
        pass


@contextlib.contextmanager
def serving(endpoint: str, keys: ServerKeys | None = None):
    server = VlmServer(Fake(), endpoint, "0" * 64, keys)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()


@contextlib.contextmanager
def client(endpoint: str, state: Path | None = None, secure: bool = True):
    one = VlmClient(endpoint, TIMEOUT_S, state=state, secure=secure)
    try:
        yield one
    finally:
        one.close()


def refused(one: VlmClient, *words: str) -> None:
    """The client says why, well before its deadline, and the robot says in Japanese that it cannot think now."""
    began = time.monotonic()
    with pytest.raises(VlmError) as caught:
        one.plan(REQUEST)
    assert caught.value.reason_code == "model_unavailable"
    assert caught.value.reply == failure("model_unavailable")
    assert time.monotonic() - began < TIMEOUT_S / 2
    for word in words:
        assert word in str(caught.value)


def admit(server: Path, who: Path, name: str = "robot") -> None:
    """Bring a client's public key to the server's machine."""
    folder = keys_dir(server) / CLIENTS
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.pub").write_bytes((keys_dir(who) / f"{CLIENT}.pub").read_bytes())


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The state folder of the machine that serves."""
    make_key(SERVER, tmp_path / "server")
    return tmp_path / "server"


@pytest.fixture
def here(tmp_path: Path, there: Path) -> Path:
    """The state folder of a robot that knows the server and is not known to it."""
    make_key(CLIENT, tmp_path / "robot")
    (keys_dir(tmp_path / "robot") / f"{SERVER}.pub").write_bytes((keys_dir(there) / f"{SERVER}.pub").read_bytes())
    return tmp_path / "robot"


@pytest.fixture(params=["tcp://127.0.0.1:*", "ipc"])
def endpoint(request) -> str:
    return request.param if request.param != "ipc" else f"ipc://@jpai-test-{uuid.uuid4().hex}"


@pytest.mark.parametrize(("address", "local"), [
    ("ipc://@jpai-vlm-0", True), ("ipc:///tmp/x", True), ("inproc://x", True), ("tcp://127.0.0.1:5555", True),
    ("tcp://127.1.2.3:*", True), ("tcp://[::1]:5555", True), ("tcp://localhost:5555", True),
    ("tcp://0.0.0.0:5555", False), ("tcp://*:5555", False), ("tcp://[::]:5555", False), ("tcp://192.168.1.7:5555", False),
    ("tcp://eth0:5555", False), ("tcp://lo:5555", False), ("tcp://gpu.local:5555", False),
    ("tcp://127.0.0.1.example:5555", False),
    ("tcp://10.0.0.1:1;127.0.0.1:5555", False), ("tcp://127.0.0.1:1;10.0.0.1:5555", False), ("tcp://127.0.0.1", False),
    ("tcp://localhost.:5555", False), ("tcp://2130706433:5555", False), ("tcp://", False),
])  # fmt: skip
def test_what_reaches_beyond_this_machine(address: str, local: bool) -> None:
    assert stays_here(address) is local


@pytest.mark.parametrize("address", ["", "udp://127.0.0.1:1", "ws://127.0.0.1:1", "pgm://x", "TCP://127.0.0.1:1", "127.0.0.1:1"])
def test_other_transports_are_none(address: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        stays_here(address)
    with pytest.raises(ValueError, match="no address"):
        VlmClient(address or "-")


def test_an_admitted_client_gets_its_plan(endpoint: str, here: Path, there: Path) -> None:
    admit(there, here)
    with serving(endpoint, ServerKeys.read(there)) as server, client(server.endpoint, here) as one:
        assert one.plan(REQUEST).text == ASK
        assert one.heartbeat(TIMEOUT_S)["model"] == "fake"


def test_a_client_that_is_not_admitted_is_told_so_and_one_admitted_later_gets_in(endpoint: str, here: Path, there: Path) -> None:
    with serving(endpoint, ServerKeys.read(there)) as server, client(server.endpoint, here) as one:
        refused(one, "does not admit", CLIENTS)
        assert server.backend.seen == 0
        admit(there, here)
        assert one.plan(REQUEST).text == ASK
        (keys_dir(there) / CLIENTS / "robot.pub").unlink()
        with client(server.endpoint, here) as again:
            refused(again, "does not admit")
    assert server.backend.seen == 1


def test_a_client_takes_no_server_but_its_own(endpoint: str, here: Path, there: Path, tmp_path: Path) -> None:
    make_key(SERVER, tmp_path / "another")
    admit(tmp_path / "another", here)
    with serving(endpoint, ServerKeys.read(tmp_path / "another")) as server, client(server.endpoint, here) as one:
        refused(one, f"{SERVER}.pub")
    assert server.backend.seen == 0


def test_keys_at_one_end_alone_are_no_way_in(endpoint: str, here: Path, there: Path) -> None:
    with serving(endpoint, ServerKeys.read(there)) as server, client(server.endpoint, secure=False) as plain:
        refused(plain, "keys")
    assert server.backend.seen == 0


def test_a_client_with_keys_sends_nothing_to_a_server_without(endpoint: str, here: Path) -> None:
    with serving(endpoint) as server, client(server.endpoint, here) as one:
        refused(one, "keys")
    assert server.backend.seen == 0


@pytest.mark.parametrize(("missing", "words"), [(f"{CLIENT}.key", "jpai keys make client"), (f"{SERVER}.pub", f"{SERVER}.pub")])
def test_a_missing_key_is_named_and_enough_once_it_is_there(endpoint: str, here: Path, there: Path, missing: str,
                                                              words: str) -> None:
    admit(there, here)
    file = keys_dir(here) / missing
    content, mode = file.read_bytes(), file.stat().st_mode
    file.unlink()
    with serving(endpoint, ServerKeys.read(there)) as server, client(server.endpoint, here) as one:
        refused(one, words)
        file.write_bytes(content)
        file.chmod(mode)
        assert one.plan(REQUEST).text == ASK


def test_an_address_beyond_this_machine_is_asked_with_keys_alone(tmp_path: Path) -> None:
    with client("tcp://192.0.2.1:5555", tmp_path, secure=False) as one:
        assert one.secure
        refused(one, "keys make client")


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:*", "tcp://*:*", "tcp://192.0.2.1:5555"])
def test_an_address_beyond_this_machine_is_not_served_without_keys(address: str) -> None:
    with pytest.raises(ValueError, match="without keys"):
        VlmServer(Fake(), address)


@pytest.mark.parametrize(("arguments", "words"), [
    (["--endpoint", "tcp://0.0.0.0:*"], "jpai keys make server"),
    (["--endpoint", "ipc://@jpai-test", "--secure"], "jpai keys make server"),
    (["--endpoint", "udp://127.0.0.1:1"], "no address of a model server"),
])  # fmt: skip
def test_the_server_does_not_start_and_says_what_is_missing(arguments: list[str], words: str, tmp_path: Path, caplog) -> None:
    assert main([*arguments, "--state", str(tmp_path)]) == 2
    assert words in caplog.text


def test_with_keys_it_is_served_and_asked_by_its_other_addresses(here: Path, there: Path) -> None:
    admit(there, here)
    with serving("tcp://0.0.0.0:*", ServerKeys.read(there)) as server:
        port = server.endpoint.rsplit(":", 1)[1]
        with client(f"tcp://127.0.0.1:{port}", here) as one:
            assert one.plan(REQUEST).text == ASK


def test_a_server_admits_none_but_the_keys_that_are_some(there: Path, here: Path, caplog) -> None:
    admit(there, here)
    (keys_dir(there) / CLIENTS / "zero.pub").write_text("0" * 63)
    assert list(clients(there).values()) == ["robot"]
    assert "zero.pub" in caplog.text
    answer = ServerKeys.read(there).answer
    known = bytes.fromhex((keys_dir(here) / f"{CLIENT}.pub").read_text())
    ask = [b"1.0", b"7", b"jpai-model-server", b"127.0.0.1", b"", b"CURVE", known]
    assert answer(ask)[2] == b"200"
    for place, lie in ((2, b"another"), (5, b"NULL"), (5, b"PLAIN"), (6, bytes(32)), (6, b"")):
        assert answer([*ask[:place], lie, *ask[place + 1:]])[2] == b"400"
    assert answer(ask[:6])[2] == b"400"


def test_a_key_is_not_made_over_another_machines_and_not_shown(here: Path, there: Path) -> None:
    with pytest.raises(KeyFault, match="another machine's"):
        make_key(SERVER, here)
    for keys in (ServerKeys.read(there), ClientKeys.read(here)):
        assert keys.secret.decode() not in repr(keys)


def test_what_goes_over_the_wire_cannot_be_read(here: Path, there: Path) -> None:
    admit(there, here)
    heard = bytearray()
    with serving("tcp://127.0.0.1:*", ServerKeys.read(there)) as server, between(server.endpoint, heard) as address, \
            client(address, here) as one:
        assert one.plan(REQUEST).text == ASK
    assert len(heard) > FRAME.nbytes
    assert not any(word in heard for word in (FRAME.tobytes()[:64], br"\u884c\u3063\u3066", b"decision", b"places"))
    with serving("tcp://127.0.0.1:*") as server, between(server.endpoint, heard) as address, client(address, secure=False) as one:
        assert one.plan(REQUEST).text == ASK
    assert all(word in heard for word in (FRAME.tobytes()[:64], br"\u884c\u3063\u3066", b"decision", b"places"))


@contextlib.contextmanager
def between(endpoint: str, heard: bytearray):
    """Somebody between a client and a server who hears all that is said: gives the address that the client is to use."""
    listener = socket.create_server(("127.0.0.1", 0))
    ends: list[socket.socket] = [listener]

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                heard.extend(data)
                target.sendall(data)

    def run() -> None:
        with contextlib.suppress(OSError):
            near = listener.accept()[0]
            far = socket.create_connection(("127.0.0.1", int(endpoint.rsplit(":", 1)[1])))
            ends.extend((near, far))
            back = threading.Thread(target=pass_on, args=(far, near))
            back.start()
            pass_on(near, far)
            far.shutdown(socket.SHUT_RDWR)
            back.join(5)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join(5)
        for end in ends:
            end.close()


# --- what a server may cost a client

MB = 1_000_000
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY" + b"\x0bSocket-Type" + (6).to_bytes(4, "big") + b"ROUTER"


def part(body: bytes, more: bool) -> bytes:
    """A long frame of ZMTP 3 (RFC 23)."""
    return bytes([2 | more]) + len(body).to_bytes(8, "big") + body


def rss() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@contextlib.contextmanager
def pouring(pieces):
    """A server by hand that answers its first request with these pieces and hangs up; its address, and what this process grew."""
    listener = socket.create_server(("127.0.0.1", 0))
    told = {"grown": 0}

    def run() -> None:
        near = listener.accept()[0]
        with near, contextlib.suppress(OSError):
            near.sendall(GREETING + bytes([4, len(READY)]) + READY)
            while len(near.recv(65536)) < 1000:  # greeting and READY are short, a request is not
                pass
            base = rss()
            for piece in pieces:
                near.sendall(piece)
                told["grown"] = max(told["grown"], rss() - base)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", told
    finally:
        thread.join(10)
        listener.close()


POURED = {
    "one part of 40 MB": lambda: [b"\x02" + (40 * MB).to_bytes(8, "big"), *[bytes(MB)] * 40],
    "one part of an exabyte": lambda: [b"\x02" + (10**18).to_bytes(8, "big"), *[bytes(MB)] * 40],
    "parts without end": lambda: (part(bytes(100_000), True) for _ in range(1000)),
    "messages without end": lambda: (part(bytes(100_000), False) for _ in range(1000)),
    "no ZMTP": lambda: [b"\xff" * MB] * 40,
}


@pytest.mark.parametrize("what", POURED)
def test_a_server_that_pours_costs_an_answer_and_no_memory(what: str) -> None:
    with pouring(POURED[what]()) as (address, told), client(address, secure=False) as one:
        refused(one)
    assert told["grown"] < 16 * MB, told


@pytest.mark.parametrize("end", ["before", "after"])
def test_a_server_that_dies_is_told_of_at_once(end: str) -> None:
    with pouring([] if end == "before" else [b"\x02"]) as (address, _), client(address, secure=False) as one:
        refused(one, "hung up")


def test_a_client_finds_the_server_that_took_the_place_of_another(endpoint: str) -> None:
    first = contextlib.ExitStack()
    address = first.enter_context(serving(endpoint)).endpoint
    with client(address, secure=False) as one:
        assert one.plan(REQUEST).text == ASK
        first.close()
        with pytest.raises(VlmError):
            one.heartbeat(0.1)
        with serving(address):
            assert one.wait_ready(TIMEOUT_S)["model"] == "fake"


def test_a_client_waits_for_a_server_that_is_not_there_yet(endpoint: str) -> None:
    with serving(endpoint) as gone:
        address = gone.endpoint
    answered: list[str] = []
    with client(address, secure=False) as one:
        asking = threading.Thread(target=lambda: answered.append(one.plan(REQUEST).text))
        asking.start()
        with serving(address):
            asking.join(TIMEOUT_S)
    assert answered == [ASK]


def test_an_address_that_is_taken_is_not_served(endpoint: str) -> None:
    with serving(endpoint) as server, pytest.raises(zmq.ZMQError):
        VlmServer(Fake(), server.endpoint)
