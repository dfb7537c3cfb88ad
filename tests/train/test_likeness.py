"""Words and pictures: a CLIP from disk ranks pictures as transformers does, and is checked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stylepress.errors import CheckpointError

pytest.importorskip("transformers")

from transformers import CLIPConfig, CLIPModel

from stylepress.train.data.choice import Bars
from stylepress.train.data.layouts import Item
from stylepress.train.data.likeness import find_clip, open_likeness
from stylepress.train.data.survey import Sight

PART = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def clip(folder: Path) -> Path:
    """Write a tiny CLIP with random weights that reads single letters."""
    torch.manual_seed(0)
    letters = [f"{letter}</w>" for letter in "abc"]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters]
    text = {**PART, "vocab_size": 5, "max_position_embeddings": 8}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    sight = {**PART, "image_size": 16, "patch_size": 8}
    config = CLIPConfig(text_config={**text, **ends}, vision_config=sight, projection_dim=8)
    CLIPModel(config).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({t: n for n, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    return folder


def test_a_clip_in_the_cache_is_found_checked_and_says_how_well_a_picture_fits(
    tmp_path: Path,
) -> None:
    snapshot = tmp_path / ".cache/huggingface/hub/models--openai--clip-vit-tiny/snapshots/abc"
    assert find_clip(env={}, home=tmp_path) is None
    clip(snapshot)
    assert find_clip(env={}, home=tmp_path) == snapshot
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    likeness = open_likeness(snapshot, "a b")
    mean, deviation = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    pixels = (torch.from_numpy(picture) / 255 - torch.tensor(mean)) / torch.tensor(deviation)
    with torch.no_grad():
        whole = CLIPModel.from_pretrained(snapshot).eval()(
            input_ids=torch.tensor([[0, 2, 3, 1]]), pixel_values=pixels.permute(2, 0, 1)[None]
        )
    expected = float(whole.logits_per_image)
    scale = float(likeness.model.logit_scale.detach().exp())
    assert likeness(picture) == pytest.approx(expected / scale, abs=1e-5)
    weights = snapshot / "model.safetensors"
    blob = tmp_path / hashlib.sha256(weights.read_bytes()).hexdigest()
    weights.rename(blob)
    weights.symlink_to(blob)
    assert open_likeness(snapshot, "a")(picture) != likeness(picture)
    with blob.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(CheckpointError, match="has not the SHA-256"):
        open_likeness(snapshot, "a")
    (snapshot / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError, match="holds bert"):
        open_likeness(snapshot, "a")


def test_a_picture_that_shows_something_else_is_left_out() -> None:
    item = Item("a.png", Path("a.png"))
    fitting = Sight(item, 300, 300, sharpness=20, entropy=7, likeness=0.3)
    other = Sight(item, 300, 300, sharpness=20, entropy=7, likeness=0.1)
    assert Bars().fault(fitting, {}) == ""
    assert Bars().fault(other, {}) == "shows something else"
