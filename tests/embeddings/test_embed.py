"""Texts, the mean for items without one, the cache, resuming, damage."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmseq.embeddings import embed
from llmseq.embeddings.embed import embed_catalogue
from llmseq.embeddings.store import default_cache
from llmseq.errors import ConfigError, InvalidDataError, LlmseqWarning, ShapeError

WORDS = [f"word {'x' * row} {row}" for row in range(20)]


def _shards(cache: Path) -> list[Path]:
    return sorted(cache.glob("*/shard-*.safetensors"))


def test_every_item_gets_the_vector_of_its_text(make_catalogue, letters, cache):
    encoder = letters()
    made = embed_catalogue(make_catalogue(WORDS), encoder, cache=cache)
    np.testing.assert_array_equal(made.vectors, [encoder.vector(text) for text in WORDS])
    assert made.filled is None
    assert made.origin["encoder"] == "letters"
    assert (made.origin["dim"], made.origin["n_texts"], made.origin["n_without_text"]) == (4, 20, 0)


def test_equal_texts_are_encoded_once_and_longest_first(make_catalogue, letters, cache):
    encoder = letters()
    made = embed_catalogue(make_catalogue(["b", "long", "b", "a"]), encoder, cache=cache)
    assert encoder.calls == [["long", "a", "b"]]
    np.testing.assert_array_equal(made.vectors[0], made.vectors[2])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # they only make things
@given(order=st.permutations(range(7)))
def test_the_order_of_the_catalogue_changes_neither_vectors_nor_key(
    order, make_catalogue, letters, tmp_path_factory
):
    texts = ["soap", "balm", "soap", "oil", "cream", "gel", "wax"]
    cache = tmp_path_factory.mktemp("cache")  # one for each example
    first = embed_catalogue(make_catalogue(texts), letters(), cache=cache)
    encoder = letters()
    again = embed_catalogue(make_catalogue([texts[i] for i in order]), encoder, cache=cache)
    assert encoder.calls == []
    np.testing.assert_array_equal(again.vectors, first.vectors[order])
    assert again.origin == first.origin


def test_items_without_text_get_the_mean(make_catalogue, letters, cache):
    encoder = letters()
    texts = ["a", "a", None, "b", *WORDS[:6]]
    made = embed_catalogue(make_catalogue(texts), encoder, cache=cache)
    others = [encoder.vector(text) for text in texts if text]
    np.testing.assert_allclose(made.vectors[2], np.mean(others, axis=0), rtol=1e-6)
    assert made.filled is not None
    assert made.filled.tolist() == [text is None for text in texts]
    assert made.origin["n_without_text"] == 1


def test_too_many_items_without_text(make_catalogue, letters, cache):
    texts = [*WORDS[:8], None, "  "]
    with pytest.raises(InvalidDataError, match=r'2 of 10 items .* first is "item-8".*10%.*templ'):
        embed_catalogue(make_catalogue(texts), letters(), cache=cache)
    assert not cache.exists()


def test_an_empty_catalogue_has_no_texts(make_catalogue, letters, cache):
    with pytest.raises(InvalidDataError, match="0 of 0 items have no text"):
        embed_catalogue(make_catalogue([]), letters(), cache=cache)


def test_template_makes_other_texts(make_catalogue, letters, cache):
    catalogue = make_catalogue(["Soap", "Balm"], brand=["Ivy", None], item_time=[1.0, 2.0])
    encoder = letters()
    made = embed_catalogue(catalogue, encoder, template="{title}. {brand}", cache=cache)
    assert encoder.calls == [["Soap. Ivy", "Balm."]]
    assert made.origin["template"] == "{title}. {brand}"


def test_template_with_an_unknown_column_lists_them(make_catalogue, letters, cache):
    with pytest.raises(ConfigError, match=r'"brnd".*"brand".*item_id, title, text, brand'):
        embed_catalogue(
            make_catalogue(["a"], brand=["b"]), letters(), template="{brnd}", cache=cache
        )


def test_second_run_encodes_nothing(make_catalogue, letters, cache):
    first = embed_catalogue(make_catalogue(WORDS), letters(), cache=cache)
    encoder, told = letters(), []
    again = embed_catalogue(
        make_catalogue(WORDS), encoder, cache=cache, progress=lambda *call: told.append(call)
    )
    assert encoder.calls == []
    assert told == [(1.0, "20 of 20 texts")]
    np.testing.assert_array_equal(again.vectors, first.vectors)
    assert again.origin == first.origin
    manifest = json.loads((cache / first.origin["fingerprint"] / "manifest.json").read_text())
    assert (manifest["encoder"], manifest["n_texts"], manifest["dim"]) == ("letters", 20, 4)


def test_another_encoder_or_text_is_another_entry(make_catalogue, letters, cache):
    for encoder, texts in [(letters(), WORDS), (letters(5), WORDS), (letters(), WORDS[1:])]:
        embed_catalogue(make_catalogue(texts), encoder, cache=cache)
        assert len(encoder.calls) == 1
    assert len(list(cache.iterdir())) == 3


def test_a_stopped_run_goes_on_after_its_last_shard(make_catalogue, letters, cache, monkeypatch):
    monkeypatch.setattr(embed, "SHARD_TEXTS", 6)
    whole = embed_catalogue(make_catalogue(WORDS), letters(), cache=cache.with_name("other"))
    with pytest.raises(KeyboardInterrupt):
        embed_catalogue(make_catalogue(WORDS), letters(die_after=2), cache=cache)
    assert len(_shards(cache)) == 2
    encoder, told = letters(), []
    made = embed_catalogue(
        make_catalogue(WORDS), encoder, cache=cache, progress=lambda share, _: told.append(share)
    )
    assert [len(call) for call in encoder.calls] == [6, 2]
    np.testing.assert_array_equal(made.vectors, whole.vectors)
    assert 0.6 < told[0] < 0.9  # twelve of twenty texts, the longer ones
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_sigkill_leaves_only_whole_shards(make_catalogue, letters, cache, monkeypatch):
    script = f"""
        import sys, time, itertools
        import numpy as np, polars as pl
        from llmseq.data.catalogue import Catalogue
        from llmseq.embeddings import embed
        embed.SHARD_TEXTS = 2
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from conftest import LetterEncoder
        class Slow(LetterEncoder):
            def encode(self, texts, progress=None):
                time.sleep(0.02)
                return super().encode(texts, progress)
        texts = {WORDS!r}
        ids = [f"item-{{i}}" for i in range(20)]
        table = pl.DataFrame({{"item_id": ids, "title": texts, "text": texts}})
        from pathlib import Path
        embed.embed_catalogue(Catalogue(table), Slow(), cache=Path({str(cache)!r}))
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    deadline = time.monotonic() + 30
    while len(_shards(cache)) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.wait()
    kept = len(_shards(cache))
    assert kept >= 3
    monkeypatch.setattr(embed, "SHARD_TEXTS", 2)
    encoder = letters()
    made = embed_catalogue(make_catalogue(WORDS), encoder, cache=cache)
    assert len(encoder.calls) == 10 - kept
    np.testing.assert_array_equal(made.vectors, [encoder.vector(text) for text in WORDS])


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 0x40]) + content[-2:]


@pytest.mark.parametrize("damage", [_cut, _flip, lambda _: b"", lambda _: b"\xff" * 100])
def test_a_damaged_shard_is_made_again_with_a_warning(
    make_catalogue, letters, cache, monkeypatch, damage
):
    monkeypatch.setattr(embed, "SHARD_TEXTS", 6)
    first = embed_catalogue(make_catalogue(WORDS), letters(), cache=cache)
    shard = _shards(cache)[1]
    shard.write_bytes(damage(shard.read_bytes()))
    encoder = letters()
    with pytest.warns(LlmseqWarning, match=re.escape(f"{shard}: damaged cache entry")):
        again = embed_catalogue(make_catalogue(WORDS), encoder, cache=cache)
    assert [len(call) for call in encoder.calls] == [6]
    np.testing.assert_array_equal(again.vectors, first.vectors)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed_catalogue(make_catalogue(WORDS), letters(), cache=cache)


def test_a_shard_of_another_shape_is_damaged(make_catalogue, letters, cache, monkeypatch):
    monkeypatch.setattr(embed, "SHARD_TEXTS", 6)
    embed_catalogue(make_catalogue(WORDS), letters(), cache=cache)
    shards = _shards(cache)
    shards[3].write_bytes(shards[0].read_bytes())
    encoder = letters()
    with pytest.warns(LlmseqWarning, match="not what was written"):
        embed_catalogue(make_catalogue(WORDS), encoder, cache=cache)
    assert [len(call) for call in encoder.calls] == [2]


def test_a_damaged_manifest_is_made_again_with_a_warning(make_catalogue, letters, cache):
    first = embed_catalogue(make_catalogue(WORDS), letters(), cache=cache)
    manifest = cache / first.origin["fingerprint"] / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text(whole[:20])
    with pytest.warns(LlmseqWarning, match=r"manifest\.json: damaged"):
        embed_catalogue(make_catalogue(WORDS), letters(), cache=cache)
    assert manifest.read_text() == whole


def test_a_cache_that_cannot_be_written_is_an_oserror(make_catalogue, letters, tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        embed_catalogue(make_catalogue(WORDS), letters(), cache=in_the_way)


def test_a_full_disk_is_an_oserror(make_catalogue, letters, cache, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        embed_catalogue(make_catalogue(WORDS), letters(), cache=cache)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_an_encoder_that_needs_all_texts_gets_them_at_once(
    make_catalogue, letters, cache, monkeypatch
):
    monkeypatch.setattr(embed, "SHARD_TEXTS", 6)
    encoder = letters()
    encoder.independent = False
    embed_catalogue(make_catalogue(WORDS), encoder, cache=cache)
    assert [len(call) for call in encoder.calls] == [20]


def test_an_encoder_that_gives_nan_is_refused(make_catalogue, letters, cache):
    encoder = letters()
    encoder.vector = lambda text: np.full(4, np.nan if text == WORDS[3] else 1.0)
    with pytest.raises(InvalidDataError, match=f'letters: gave NaN .* text "{WORDS[3]}"'):
        embed_catalogue(make_catalogue(WORDS), encoder, cache=cache)
    assert _shards(cache) == []


@pytest.mark.parametrize("shape", [(3, 4), (20,), (20, 0)])
def test_an_encoder_that_gives_another_shape_is_refused(make_catalogue, letters, cache, shape):
    encoder = letters()
    encoder.encode = lambda texts, progress: np.ones(shape)
    with pytest.raises(ShapeError, match=r"for 20 texts, expected \(20, dim\)"):
        embed_catalogue(make_catalogue(WORDS), encoder, cache=cache)


def test_an_encoder_whose_width_changes_is_refused(make_catalogue, letters, cache, monkeypatch):
    monkeypatch.setattr(embed, "SHARD_TEXTS", 18)
    encoder = letters()
    encoder.encode = lambda texts, progress: np.ones((len(texts), len(texts)))
    with pytest.raises(ShapeError, match="different width"):
        embed_catalogue(make_catalogue(WORDS), encoder, cache=cache)


def test_where_the_cache_is(monkeypatch, tmp_path, make_catalogue, letters):
    monkeypatch.setenv("LLMSEQ_CACHE", str(tmp_path / "mine"))
    made = embed_catalogue(make_catalogue(WORDS), letters())
    assert (tmp_path / "mine/embeddings" / made.origin["fingerprint"] / "manifest.json").is_file()
    monkeypatch.delenv("LLMSEQ_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg/llmseq/embeddings"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path.home() / ".cache/llmseq/embeddings"
