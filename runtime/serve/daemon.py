"""The daemon's life: start, serve, reload, stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from stylepress.cache import Cache
from stylepress.errors import StylepressError
from stylepress.progress import Progress
from stylepress.runtime.serve.address import parse_input, parse_output
from stylepress.runtime.serve.config import Configuration, StreamEntry, parse_size
from stylepress.runtime.serve.doorway import Doorway
from stylepress.runtime.serve.engines import Engines
from stylepress.runtime.serve.http import Server
from stylepress.runtime.serve.inference import Inference
from stylepress.runtime.serve.notify import Notifier
from stylepress.runtime.serve.outputs.choose import open_output
from stylepress.runtime.serve.outputs.jpeg import JpegOutput
from stylepress.runtime.serve.parts import Parts
from stylepress.runtime.serve.source.keeper import Keeper
from stylepress.runtime.serve.source.pattern import USUAL_SIZE
from stylepress.runtime.serve.stream import Stream
from stylepress.runtime.serve.stylist import Stylist

STOP_S = 4.0
POLL_S = 2.0
KEEP_ALIVE_S = 15.0
READ_BYTES = 512 << 10
"""Of a request read ahead: a frame comes in a few pieces instead of a dozen."""

log = logging.getLogger("stylepress.serve")


class Daemon:
    """Everything that runs, from ``run`` to its return."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        cache: Cache | None,
        progress: Progress,
        environ: Mapping[str, str],
        reread: Callable[[], Configuration] | None = None,
        watched: Path | None = None,
        on_ready: Callable[[str], None] = lambda address: None,
    ) -> None:
        """Read every bundle.

        ``reread`` gives the configuration anew, when ``watched`` changes or at SIGHUP;
        ``on_ready`` is called with the page's address.

        Raises:
            ArtifactError: a style's bundle cannot be used.
        """
        self.configuration, self.notifier = configuration, Notifier(environ)
        self.reread, self.watched, self.on_ready = reread, watched, on_ready
        self.engines = Engines(
            configuration.styles, cache=cache, most=configuration.batching.most, progress=progress
        )
        self.streams: dict[str, Stream] = {}
        self.keepers: dict[str, Keeper] = {}
        self.inference = Inference(Stylist(self.engines), self.streams)
        self.parts = Parts(configuration, self.engines, self.streams, {}, self.inference)
        self.stopped = asyncio.Event()
        self.address = ""

    async def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C; SIGHUP reads the configuration again.

        Raises:
            OSError: the port is taken.
            BackendError: an engine that a stream needs cannot be opened.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.create_task(self.reload()))
        self.doorway = Doorway(self.configuration.limits.connections)
        server = Server(self.parts, self.doorway)
        runner = web.AppRunner(
            server.app, handler_cancellation=True, shutdown_timeout=1.0, access_log=None,
            max_line_size=8190, max_field_size=8190, keepalive_timeout=KEEP_ALIVE_S,
            read_bufsize=READ_BYTES,
        )  # fmt: skip
        await runner.setup()
        try:
            await self._start(runner)
            tasks = [loop.create_task(self._beat(server)), loop.create_task(self._watch_file())]
            await self.stopped.wait()
            self.notifier.send("STOPPING=1")
            for task in tasks:
                task.cancel()
        finally:
            self.parts.stopping = True
            server.views.close()
            await asyncio.to_thread(self._close)
            self.doorway.close()  # until now somebody may ask whether it is ready: it is not
            await runner.cleanup()
            log.info("stopped")

    def stop(self) -> None:
        """Begin to stop: not ready at once, over in a few seconds."""
        self.parts.stopping = True
        self.stopped.set()

    async def reload(self) -> None:
        """Read the configuration again; one that is wrong changes nothing and is complained of."""
        if self.reread is None:
            return
        try:
            fresh = await asyncio.to_thread(self.reread)
            await asyncio.to_thread(self._take, fresh)
            self.parts.reload_error = ""
            log.info("the configuration was read again")
        except StylepressError as error:
            self.parts.reload_error = str(error)
            log.error("the configuration stays as it was: %s", error)

    async def _start(self, runner: web.AppRunner) -> None:
        configuration = self.configuration
        self.inference.start()
        await asyncio.to_thread(self._warm)
        assert runner.server is not None
        port = await self.doorway.listen(runner.server, configuration.host, configuration.port)
        for name, entry in configuration.streams.items():
            self._add(name, entry)
        host = "127.0.0.1" if configuration.host in ("0.0.0.0", "::") else configuration.host
        self.address = f"http://{host}:{port}/"
        self.parts.warm = True
        self.notifier.send("READY=1", f"STATUS=Serving {len(self.streams)} streams")
        log.info("ready on %s", self.address)
        self.on_ready(self.address)

    def _warm(self) -> None:
        """Open the engines that the streams begin with, and ask for the others."""
        first = next(iter(self.engines.looks))
        for entry in self.configuration.streams.values():
            size = self._size(entry)
            names = entry.style or first
            for name in [names] if isinstance(names, str) else list(names):
                if size is not None:
                    self.engines.open_now(self.engines.looks[name], size)
        for text in self.configuration.infer_sizes:
            for look in self.engines.looks.values():
                self.engines.open_now(look, parse_size(text))

    def _size(self, entry: StreamEntry) -> tuple[int, int] | None:
        if entry.size is None and parse_input(entry.input).kind == "test":
            return USUAL_SIZE
        return parse_size(entry.size)

    def _add(self, name: str, entry: StreamEntry) -> None:
        first = next(iter(self.engines.looks))
        stream = Stream(name, entry, first, self.inference.wake)
        pictures = JpegOutput(name, entry.quality)
        stream.attach(pictures)
        for text in entry.outputs:
            stream.attach(open_output(name, parse_output(text), entry))
        keeper = Keeper(stream, self.configuration.limits)
        self.streams[name], self.keepers[name] = stream, keeper
        self.parts.pictures[name] = pictures
        keeper.start()

    def _remove(self, name: str) -> None:
        self.keepers.pop(name).stop()
        stream = self.streams.pop(name)
        self.parts.pictures.pop(name).close()
        stream.close()

    def _take(self, fresh: Configuration) -> None:
        """Change to another configuration; streams that stay the same are not touched."""
        self.engines.replace_looks(fresh.styles)
        old, self.configuration = self.configuration, fresh
        self.parts.configuration = fresh
        for name in list(self.streams):
            if not self.streams[name].owner and fresh.streams.get(name) != old.streams.get(name):
                self._remove(name)
        for name, entry in fresh.streams.items():
            if name not in self.streams:
                self._add(name, entry)

    async def _beat(self, server: Server) -> None:
        """Feed the watchdog of systemd while the frame path moves; load what will be wanted."""
        pause = min(1.0, (self.notifier.watchdog_s or 2.0) / 2)
        while True:
            if server.health.is_alive:
                self.notifier.send("WATCHDOG=1")
            for stream in tuple(self.streams.values()):
                if stream.size is not None and stream.state == "live":
                    for look in tuple(self.engines.looks.values()):
                        self._ask(look.name, stream.size)
            await asyncio.sleep(pause)

    def _ask(self, name: str, size: tuple[int, int]) -> None:
        with suppress(StylepressError):  # said when it was opened, and again by whoever uses it
            self.engines.get(self.engines.looks[name], size)

    async def _watch_file(self) -> None:
        if self.watched is None:
            return
        known = _stamp(self.watched)
        while True:
            await asyncio.sleep(POLL_S)
            if (now := _stamp(self.watched)) != known:
                known = now
                await self.reload()

    def _close(self) -> None:
        """Stop sources, then the thread, then the outputs, each in a bounded time."""
        begun = time.monotonic()
        stoppers = [threading.Thread(target=keeper.stop, daemon=True) for keeper in self.keepers.values()]  # fmt: skip
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join(max(0.1, STOP_S - (time.monotonic() - begun)))
        self.inference.stop(1.0)
        closers = [threading.Thread(target=stream.close, daemon=True) for stream in self.streams.values()]  # fmt: skip
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join(max(0.1, STOP_S - (time.monotonic() - begun)))
        self.engines.close()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError:
        return (0, 0)
    return facts.st_mtime_ns, facts.st_ino
