"""The command that runs the daemon: serve."""

from __future__ import annotations

import asyncio
import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from stylepress.cache import user_cache
from stylepress.errors import RecipeError
from stylepress.options import Json, terminal


def serve(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="YAML file; see `schema serve`.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Read the file and the bundles, then leave.")
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="No file: the shipped styles on a test picture.")
    ] = False,
    camera: Annotated[
        str | None,
        typer.Option(metavar="INPUT", help="With --demo: 0, /dev/video0, a file, rtsp://"),
    ] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Instead of the file's address.")
    ] = None,
    unit: Annotated[
        bool, typer.Option("--unit", help="Print where the unit of systemd lies, then leave.")
    ] = False,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    json: Json = False,
) -> None:
    """Run the video daemon: cameras in, stylized video out, steered from a web page.

    It ends by Ctrl-C or SIGTERM; SIGHUP reads the file again.

    [bold]Examples[/bold]

    $ stylepress serve --demo
    $ stylepress serve /etc/stylepress.yaml --check
    """
    if unit:
        terminal().show(
            str(Path(__file__).parent / "runtime" / "serve" / "deploy" / "stylepress.service")
        )
        return
    from stylepress.cache import Cache
    from stylepress.runtime.serve.config import Configuration, load_configuration
    from stylepress.runtime.serve.demo import demo_configuration

    if (config is None) == (not demo):
        raise RecipeError(
            "A configuration and --demo were both given, or neither.",
            "Name one: `stylepress serve CONFIG.yaml` or `stylepress serve --demo`.",
        )

    def read() -> Configuration:
        values = (
            demo_configuration(camera) if config is None else load_configuration(config, os.environ)
        )
        if listen is None:
            return values
        return Configuration.model_validate(values.model_dump() | {"listen": listen})

    configuration = read()
    screen = terminal()
    if check:
        facts = _checked(configuration)
        if json:
            screen.show_json(facts)
        else:
            screen.show(f"{config}: {facts['streams']} streams, {facts['styles']} styles, all fine")
        return
    from stylepress.runtime.serve.daemon import Daemon
    from stylepress.runtime.serve.logs import start_logging

    start_logging(sys.stdout, log_level)

    def ready(address: str) -> None:
        if demo:
            screen.say(f"Open {address} in a browser.")
            if sys.stdout.isatty():
                webbrowser.open(address)

    async def main() -> None:
        daemon = Daemon(
            configuration, cache=Cache(user_cache()), progress=screen, environ=os.environ,
            reread=None if config is None else read, watched=config,
            on_ready=ready,
        )  # fmt: skip
        await daemon.run()

    asyncio.run(main())


def _checked(configuration: Any) -> dict[str, int]:
    from stylepress.runtime.serve.engines import read_look

    for name, style in configuration.styles.items():
        read_look(name, style)
    return {"streams": len(configuration.streams), "styles": len(configuration.styles)}
