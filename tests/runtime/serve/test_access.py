"""Who is let in: every route is guarded, tokens open what they should, other sites open nothing."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stylepress.errors import RecipeError
from stylepress.runtime.serve.config import Configuration, Style, Tokens
from stylepress.runtime.serve.doorway import Doorway
from stylepress.runtime.serve.http import Server
from tests.runtime.serve.running import Daemon, running

OPEN = {
    "/", "/app.css", "/app.js", "/brush.js", "/camera.js", "/live.js", "/plot.js", "/api/v1/login",
    "/v2/health/live", "/v2/health/ready", "/healthz", "/readyz",
}  # fmt: skip


def server() -> Server:
    configuration = Configuration(styles={"a": Style(bundle=Path("a"))})
    parts: Any = SimpleNamespace(
        configuration=configuration, streams={}, pictures={}, inference=SimpleNamespace(wake=None)
    )
    return Server(parts, Doorway(8))


def test_every_route_has_a_scope_and_only_these_are_open() -> None:
    found = server()
    scopes = {
        route.resource.canonical: found.access.scopes[route.handler]
        for route in found.app.router.routes()
        if route.resource is not None
    }
    assert {place for place, scope in scopes.items() if scope == "open"} == OPEN
    assert (
        scopes["/api/v1/streams/{stream}"] == scopes["/api/v1/streams/{stream}/mask"] == "control"
    )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, bundles: Any) -> Iterator[Daemon]:
    values = {
        "styles": bundles,
        "tokens": {"control": "c" * 20, "read": "r" * 20, "metrics": "m" * 20},
        "streams": {"test": {"input": "test://", "size": "64x48", "fps": 5}},
    }
    with running(tmp_path_factory.mktemp("guarded"), values) as found:
        yield found


def status(daemon: Daemon, method: str, path: str, body: Any = None, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        daemon.ask(method, path, body, named)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200


def bearer(letter: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {letter * 20}"}


def test_a_token_opens_its_scope_and_no_more(guarded: Daemon) -> None:
    table = {
        "": (401, 401, 401), "x": (401, 401, 401), "m": (401, 401, 200), "r": (200, 401, 200),
        "c": (200, 200, 200),
    }  # fmt: skip
    for letter, wanted in table.items():
        headers = bearer(letter) if letter else {}
        codes = (
            status(guarded, "GET", "/api/v1/state", **headers),
            status(guarded, "PATCH", "/api/v1/streams/test", {"strength": 0.5}, **headers),
            status(guarded, "GET", "/metrics", **headers),
        )
        assert codes == wanted, letter
    assert status(guarded, "GET", "/healthz") == 200


def test_players_may_give_the_token_as_a_password(guarded: Daemon) -> None:
    import base64

    word = base64.b64encode(b"x:" + b"r" * 20).decode()
    assert status(guarded, "GET", "/streams/test.jpg", Authorization=f"Basic {word}") == 200
    assert status(guarded, "GET", "/streams/test.jpg", Authorization="Basic ###") == 401


def test_other_sites_may_not_steer_nor_look(daemon: Daemon) -> None:
    change = {"strength": 0.5}
    place = "/api/v1/streams/test"
    assert status(daemon, "PATCH", place, change, Origin="http://evil.example") == 403
    assert status(daemon, "PATCH", place, change, Origin=daemon.url) == 200
    assert status(daemon, "GET", "/streams/test.jpg", Sec_Fetch_Site="cross-site") == 403
    assert status(daemon, "GET", "/api/v1/state", Host="evil.example") == 403
    assert status(daemon, "GET", "/api/v1/state", Host="192.0.2.7") == 200


def test_beyond_this_machine_a_token_is_needed() -> None:
    styles = {"a": Style(bundle=Path("a"))}
    with pytest.raises(ValueError, match=r"tokens\.control"):
        Configuration(listen="0.0.0.0:8000", styles=styles)
    Configuration(listen="0.0.0.0:8000", styles=styles, tokens=Tokens(control="secret"))


def test_errors_name_no_path_and_no_code(daemon: Daemon) -> None:
    for place in ("/nothing", "/v2/models/..%2f..%2fetc%2fpasswd", "/streams/%00.mjpeg", "/%ff"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            daemon.ask("GET", place)
        with caught.value as answer:
            said = json.loads(answer.read())["error"]
        assert caught.value.code == 404
        assert "passwd" not in said
        assert "/" not in said


def test_the_configuration_names_what_is_wrong(tmp_path: Path) -> None:
    from stylepress.runtime.serve.config import load_configuration

    path = tmp_path / "serve.yaml"
    path.write_text("styles: {a: x}\nstreams:\n  hall:\n    input: exec:rm\n")
    with pytest.raises(RecipeError, match=r"line 4.*no address"):
        load_configuration(path, {})
    path.write_text("styles: {a: x}\nstreams:\n  hall: {input: 'test://', stile: a}\n")
    with pytest.raises(RecipeError, match="Did you mean `style`"):
        load_configuration(path, {})
