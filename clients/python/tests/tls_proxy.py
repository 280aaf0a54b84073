"""TLS in front of a broker, and the certificates for it."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from proxy import PATIENCE

from babelmq.address import resolve

T = TypeVar("T")

OPENSSL = shutil.which("openssl")


class Certificates:
    """A CA, what it has signed, and another CA that signed nothing: paths of files in PEM."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("ca", "other_ca"):
            self._run(
                *("req", "-x509", *self._new_key(name), "-days", "2", "-subj", f"/CN={name}"),
                # Without these a Python from 3.13 on does not take it.
                *("-addext", "basicConstraints=critical,CA:TRUE"),
                *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
                *("-addext", "subjectKeyIdentifier=hash", "-out", self.path(name)),
            )
        self._sign("server", "DNS:localhost,IP:127.0.0.1")
        self._sign("expired", "DNS:localhost,IP:127.0.0.1", days="-1")
        self._sign("elsewhere", "DNS:elsewhere.example")
        self._sign("client", "DNS:client")
        self._run(
            *("ec", "-aes128", "-passout", "pass:secret"),
            *("-in", self.key("client"), "-out", self.key("encrypted")),
        )

    def path(self, name: str) -> str:
        return str(self._folder / f"{name}.pem")

    def key(self, name: str) -> str:
        return str(self._folder / f"{name}.key")

    def _new_key(self, name: str) -> list[str]:
        curve = "ec_paramgen_curve:P-256"
        return ["-newkey", "ec", "-pkeyopt", curve, "-nodes", "-keyout", self.key(name)]

    def _sign(self, name: str, names: str, days: str = "2") -> None:
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text(
            f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n"
            "keyUsage=digitalSignature\nauthorityKeyIdentifier=keyid\n"
        )
        self._run("req", *self._new_key(name), "-subj", f"/CN={name}", "-out", str(request))
        self._run(
            *("x509", "-req", "-in", str(request), "-CA", self.path("ca"), "-days", days),
            *("-CAkey", self.key("ca"), "-set_serial", str(sum(name.encode()))),
            *("-extfile", str(extensions), "-out", self.path(name)),
        )

    def _run(self, *arguments: str) -> None:
        assert OPENSSL is not None
        # Without a configuration of the machine's own.
        done = subprocess.run(
            [OPENSSL, *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, "OPENSSL_CONF": os.devnull},
        )
        assert done.returncode == 0, done.stderr


class TLSProxy:
    """Ends the TLS of its clients, and passes what they say to a broker."""

    def __init__(self, broker: str, certificates: Certificates, name: str = "server") -> None:
        self._place = resolve(broker)
        self._certificates = certificates
        self._writers: set[asyncio.StreamWriter] = set()
        self._happened = threading.Condition()
        self.accepted = 0
        self.versions: list[str] = []
        self.one_byte_records = False
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_verify_locations(certificates.path("ca"))
        self.present(name)
        self._loop = asyncio.new_event_loop()
        # What goes wrong with a client is for that client's test to see.
        self._loop.set_exception_handler(lambda *_: None)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def address(self) -> str:
        return f"babelmqs://localhost:{self.port}"

    # --- what a test does to it -------------------------------------------------------------------

    def present(self, name: str) -> None:
        """Shows this certificate to the clients that come from now on."""
        self.context.load_cert_chain(self._certificates.path(name), self._certificates.key(name))

    def cut(self, *, politely: bool) -> None:
        """Ends every connection, with a close_notify or without."""

        async def cut() -> None:
            for writer in self._writers:
                if politely:
                    writer.close()
                else:
                    writer.transport.abort()

        self._do(cut())

    def close(self) -> None:
        async def close() -> None:
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.cut(politely=False)
        self._do(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    # --- what a test waits for --------------------------------------------------------------------

    def wait_for_connections(self, count: int) -> None:
        with self._happened:
            assert self._happened.wait_for(lambda: self.accepted >= count, PATIENCE)

    # --- what it does -----------------------------------------------------------------------------

    def _do(self, awaitable: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(awaitable, self._loop).result(PATIENCE)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker_reader, broker_writer = await asyncio.open_connection(
            self._place.host, self._place.port
        )
        self._writers.add(writer)
        with self._happened:
            self.accepted += 1
            self.versions.append(writer.get_extra_info("ssl_object").version())
            self._happened.notify_all()
        await asyncio.gather(
            self._pass_on(reader, broker_writer), self._pass_on(broker_reader, writer)
        )
        self._writers.discard(writer)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 16):
                if self.one_byte_records and sink in self._writers:
                    for byte in data:
                        sink.write(bytes([byte]))
                else:
                    sink.write(data)
                await sink.drain()
        sink.close()
