"""The Open Inference Protocol by an unmodified tritonclient, and by bytes on the wire."""

from __future__ import annotations

import gzip
import json
import urllib.error
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from stylepress.picture import Pixels
from tests.runtime.serve.running import Daemon


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Any]:
    opened = triton.InferenceServerClient(daemon.url.removeprefix("http://"))
    yield opened
    opened.close()


def frames(count: int = 1, size: tuple[int, int] = (12, 20)) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), np.uint8)


def tensor(pixels: Pixels, *, binary: bool = True) -> Any:
    asked = triton.InferInput("frame", pixels.shape, "UINT8")
    asked.set_data_from_numpy(pixels, binary_data=binary)
    return asked


def test_a_client_learns_what_it_may_send(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tint")
    assert not client.is_model_ready("nothing")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata, config = client.get_model_metadata("tint"), client.get_model_config("tint")
    assert metadata["inputs"] == [{"name": "frame", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    assert config["input"][0]["dims"] == [-1, -1, 3]
    assert {model["name"] for model in client.get_model_repository_index()} == {"tint", "conv"}


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("wanted", [True, False, None])
def test_binary_and_json_say_the_same(client: Any, sent: bool, wanted: bool | None) -> None:
    pixels = frames(2)
    outputs = None
    if wanted is not None:
        outputs = [triton.InferRequestedOutput("frame_out", binary_data=wanted)]
    plain = client.infer("tint", [tensor(pixels)]).as_numpy("frame_out")
    made = client.infer("tint", [tensor(pixels, binary=sent)], outputs=outputs, request_id="7")
    assert made.get_response()["id"] == "7"
    np.testing.assert_array_equal(made.as_numpy("frame_out"), plain)
    assert (plain != pixels).any()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_bodies_may_be_compressed(client: Any, coding: str) -> None:
    pixels = frames()
    plain = client.infer("tint", [tensor(pixels)]).as_numpy("frame_out")
    made = client.infer("tint", [tensor(pixels)], request_compression_algorithm=coding)
    np.testing.assert_array_equal(made.as_numpy("frame_out"), plain)


def test_controls_are_parameters_of_a_request(client: Any) -> None:
    pixels = frames()
    made = client.infer("tint", [tensor(pixels)], parameters={"strength": 0.0})
    np.testing.assert_array_equal(made.as_numpy("frame_out"), pixels)
    with pytest.raises(InferenceServerException, match="strength"):
        client.infer("tint", [tensor(pixels)], parameters={"strength": 2.0})
    with pytest.raises(InferenceServerException, match="no control"):
        client.infer("tint", [tensor(pixels)], parameters={"colour": 2.0})


def test_statistics_count_images_and_runs(client: Any) -> None:
    def counts() -> tuple[int, int]:
        stats = client.get_inference_statistics("conv")["model_stats"][0]
        return stats["inference_count"], stats["inference_stats"]["success"]["count"]

    images, answers = counts()
    client.infer("conv", [tensor(frames(3))])
    assert counts() == (images + 3, answers + 1)


def test_many_requests_at_once_are_all_answered_right(client: Any, daemon: Daemon) -> None:
    several = triton.InferenceServerClient(daemon.url.removeprefix("http://"), concurrency=8)
    pixels = [frames(1, (8, 8 + 4 * (n % 2))) for n in range(24)]
    waiting = [
        several.async_infer("conv", [tensor(p)], parameters={"strength": 0.0}) for p in pixels
    ]
    for asked, sent in zip(waiting, pixels, strict=True):
        np.testing.assert_array_equal(asked.get_result().as_numpy("frame_out"), sent)
    several.close()


def header(**changes: Any) -> bytes:
    first = {
        "name": "frame", "shape": [1, 2, 2, 3], "datatype": "UINT8",
        "parameters": {"binary_data_size": 12},
    }  # fmt: skip
    return json.dumps({"inputs": [first | changes]}).encode()


@pytest.mark.parametrize(
    ("text", "tail"),
    [
        (b"", b""),
        (b"{", b""),
        (b"[]", b""),
        (b"[" * 5000, b""),
        (b'{"inputs": {}}', b""),
        (b'{"inputs": [NaN]}', b""),
        (header(), b"short"),
        (header(), bytes(13)),
        (header(shape=[1, 2, 2, 4]), bytes(12)),
        (header(shape=[1, 2, -2, 3]), bytes(12)),
        (header(shape=[1, 1 << 40, 1 << 40, 3]), bytes(12)),
        (header(shape=[True, 2, 2, 3]), bytes(12)),
        (header(shape=[]), bytes(12)),
        (header(datatype="BYTES"), bytes(12)),
        (header(name="other"), bytes(12)),
        (header(parameters={"binary_data_size": 1e9}), bytes(12)),
        (header(parameters={"binary_data_size": -1}), bytes(12)),
        (header(parameters={}, data=[[1, 2], 3]), b""),
        (header(parameters={}, data=[256] * 12), b""),
        (header(parameters={}, data=["a"] * 12), b""),
        (json.dumps({"inputs": json.loads(header())["inputs"] * 2}).encode(), bytes(24)),
        (header()[:-1] + b', "outputs": [{"name": "nothing"}]}', bytes(12)),
    ],
)
def test_a_body_that_makes_no_sense_is_refused_with_a_sentence(
    daemon: Daemon, text: bytes, tail: bytes
) -> None:
    length = {"Inference-Header-Content-Length": str(len(text))}
    with pytest.raises(urllib.error.HTTPError) as caught:
        daemon.ask("POST", "/v2/models/tint/infer", text + tail, length)
    assert caught.value.code == 400
    with caught.value as answer:
        said = json.loads(answer.read())["error"]
    assert said.endswith(".")
    assert "/" not in said.replace("N, H, W, 3", "")


def test_too_large_a_body_is_refused_also_when_it_was_compressed(daemon: Daemon) -> None:
    bomb = gzip.compress(bytes(16 << 20))
    for body, coding in ((bytes(3 << 20), "identity"), (bomb, "gzip")):
        with pytest.raises(urllib.error.HTTPError) as caught:
            daemon.ask("POST", "/v2/models/tint/infer", body, {"Content-Encoding": coding})
        assert caught.value.code == 413
        caught.value.close()


def test_a_photo_goes_in_and_a_photo_comes_out(daemon: Daemon) -> None:
    from PIL import Image

    from stylepress.runtime.serve.outputs.jpeg import encode_jpeg

    flat = np.full((40, 60, 3), 120, np.uint8)
    answer = daemon.ask("POST", "/infer/tint?strength=0", encode_jpeg(flat, 90))
    import io

    back = np.asarray(Image.open(io.BytesIO(answer)))
    assert back.shape == flat.shape
    assert abs(back.astype(int) - 120).max() < 8
