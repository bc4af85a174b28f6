"""Ready vectors: reading, joining by id, and everything that can be wrong with them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from llmseq.embeddings.embed import embed_catalogue
from llmseq.embeddings.encoders import get_encoder
from llmseq.embeddings.files import read_vectors, write_vectors
from llmseq.errors import ConfigError, InvalidDataError, ShapeError

IDS = [f"item-{row}" for row in range(10)]
VECTORS = np.arange(30, dtype=np.float32).reshape(10, 3)


def _parquet(path: Path, ids=IDS, vectors=VECTORS, *, dtype=None) -> Path:
    column = pl.Series("vector", [list(map(float, row)) for row in vectors])
    if dtype is not None:
        column = column.cast(dtype)
    pl.DataFrame([pl.Series("item_id", ids), column]).write_parquet(path)
    return path


def _npy(path: Path, vectors=VECTORS, ids=IDS) -> Path:
    np.save(path, vectors)
    if ids is not None:
        path.with_suffix(".ids.txt").write_text("".join(f"{name}\n" for name in ids))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".npy", ".safetensors"])
def test_what_is_written_is_read_back(tmp_path, suffix):
    path = tmp_path / f"sub/vectors{suffix}"
    ids = [*IDS[:-1], "a, “quoted” id"]
    written = write_vectors(path, ids, VECTORS)
    assert written[0] == path
    assert all(file.is_file() for file in written)
    names, vectors = read_vectors(path)
    assert names == ids
    np.testing.assert_array_equal(vectors, VECTORS)
    assert vectors.dtype == np.float32


@pytest.mark.parametrize("dtype", [None, pl.Array(pl.Float32, 3), pl.List(pl.Int64)])
def test_parquet_joined_by_id(tmp_path, make_catalogue, dtype):
    path = _parquet(tmp_path / "v.parquet", IDS[::-1], VECTORS[::-1], dtype=dtype)
    made = embed_catalogue(make_catalogue(["x"] * 10), f"file:{path}")
    np.testing.assert_array_equal(made.vectors, VECTORS)
    assert made.filled is None
    assert made.origin["joined"] == 1.0
    assert made.origin["encoder"] == f"file:{path}"
    assert (made.origin["n_without_vector"], made.origin["n_unknown_ids"]) == (0, 0)


def test_whole_number_ids_are_strings(tmp_path):
    path = _parquet(tmp_path / "v.parquet", list(range(10)))
    assert read_vectors(path)[0] == [str(row) for row in range(10)]


def test_a_tenth_without_vector_gets_the_mean(tmp_path, make_catalogue):
    path = _parquet(tmp_path / "v.parquet", [*IDS[1:], "other"])
    made = embed_catalogue(make_catalogue(["x"] * 10), f"file:{path}")
    np.testing.assert_array_equal(made.vectors[1:], VECTORS[:9])
    np.testing.assert_allclose(made.vectors[0], VECTORS[:9].mean(axis=0))
    assert made.filled is not None
    assert made.filled.tolist() == [True] + [False] * 9
    assert made.origin["joined"] == 0.9
    assert (made.origin["n_without_vector"], made.origin["n_unknown_ids"]) == (1, 1)


def test_joined_to_under_nine_tenths(tmp_path, make_catalogue):
    path = _parquet(tmp_path / "v.parquet", [IDS[0], *(f"B{row}" for row in range(9))])
    with pytest.raises(
        InvalidDataError, match=r'only 10\.0% of the 10 items .* 90% .*"item-1" has none.*"item-0"'
    ):
        embed_catalogue(make_catalogue(["x"] * 10), f"file:{path}")


@pytest.mark.parametrize("form", ["option", "spec", "beside-txt", "beside-csv", "parquet"])
def test_where_the_ids_of_a_matrix_are(tmp_path, make_catalogue, form):
    path = tmp_path / "v.npy"
    np.save(path, VECTORS)
    name = {
        "option": "names.txt",
        "spec": "names.csv",
        "beside-txt": "v.ids.txt",
        "beside-csv": "v.ids.csv",
        "parquet": "names.parquet",
    }[form]
    ids = tmp_path / name
    if ids.suffix == ".txt":
        ids.write_bytes("\r\n".join(IDS).encode())
    elif ids.suffix == ".csv":
        pl.DataFrame({"item_id": IDS}).write_csv(ids)
    else:
        pl.DataFrame({"item_id": IDS}).write_parquet(ids)
    spec = f"file:{path}?ids={ids}" if form == "spec" else f"file:{path}"
    given = ids if form in {"option", "parquet"} else None
    made = embed_catalogue(make_catalogue(["x"] * 10), spec, ids=given)
    np.testing.assert_array_equal(made.vectors, VECTORS)


def test_fingerprint_follows_content(tmp_path):
    path = _npy(tmp_path / "v.npy")
    first = get_encoder(f"file:{path}").fingerprint()
    assert get_encoder(f"file:{path}").fingerprint() == first
    _npy(path, ids=IDS[::-1])
    assert get_encoder(f"file:{path}").fingerprint() != first


def test_safetensors_of_half_precision(tmp_path):
    path = tmp_path / "v.safetensors"
    save_file({"embedding.weight": VECTORS.astype(np.float16)}, path)
    (tmp_path / "v.ids.txt").write_text("\n".join(IDS))
    np.testing.assert_array_equal(read_vectors(path)[1], VECTORS)


def test_safetensors_of_many_tensors_needs_the_name(tmp_path):
    path = tmp_path / "v.safetensors"
    (tmp_path / "v.ids.txt").write_text("\n".join(IDS))
    save_file({"vectors": VECTORS, "other": VECTORS + 1}, path)
    np.testing.assert_array_equal(read_vectors(path)[1], VECTORS)
    save_file({"a": VECTORS, "b": VECTORS}, path)
    with pytest.raises(InvalidDataError, match=r'one called "vectors"; it has a, b'):
        read_vectors(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_nan_names_the_item(tmp_path, value):
    vectors = VECTORS.astype(np.float64)
    vectors[4, 1] = value
    for path in (
        _parquet(tmp_path / "v.parquet", vectors=vectors),
        _npy(tmp_path / "v.npy", vectors),
    ):
        with pytest.raises(InvalidDataError, match=r'item "item-4" \(row 5\) holds NaN'):
            read_vectors(path)


def test_a_null_number_is_nan(tmp_path):
    path = tmp_path / "v.parquet"
    pl.DataFrame({"item_id": ["a", "b"], "vector": [[1.0, 2.0], [1.0, None]]}).write_parquet(path)
    with pytest.raises(InvalidDataError, match=r'item "b" \(row 2\) holds NaN'):
        read_vectors(path)


@pytest.mark.parametrize("wrong", [[1.0], [], None])
def test_ragged_vectors_name_the_item(tmp_path, wrong):
    path = tmp_path / "v.parquet"
    pl.DataFrame({"item_id": ["a", "b"], "vector": [[1.0, 2.0], wrong]}).write_parquet(path)
    n = len(wrong or [])
    with pytest.raises(ShapeError, match=rf'item "b" \(row 2\) has {n} numbers, the first has 2'):
        read_vectors(path)


@pytest.mark.parametrize("shape", [(30,), (10, 3, 1), (10, 0), (0, 3)])
def test_a_matrix_of_another_shape(tmp_path, shape):
    path = _npy(tmp_path / "v.npy", np.ones(shape))
    with pytest.raises(ShapeError, match=re.escape(f"got {shape}")):
        read_vectors(path)


def test_more_ids_than_vectors(tmp_path):
    path = _npy(tmp_path / "v.npy", ids=[*IDS, "one more"])
    with pytest.raises(ShapeError, match=r"v\.ids\.txt has 11 ids, but .*v\.npy has 10 vectors"):
        read_vectors(path)


def test_an_id_twice(tmp_path):
    ids = [*IDS[:6], "item-2", *IDS[7:]]
    for path in (_parquet(tmp_path / "v.parquet", ids), _npy(tmp_path / "v.npy", ids=ids)):
        with pytest.raises(InvalidDataError, match=r'"item-2" stands in row 3 and again in row 7'):
            read_vectors(path)


def test_an_id_missing(tmp_path):
    ids = [*IDS[:6], None, *IDS[7:]]
    with pytest.raises(InvalidDataError, match=r"v\.parquet, row 7: the item id is missing"):
        read_vectors(_parquet(tmp_path / "v.parquet", ids))
    path = _npy(tmp_path / "v.npy", ids=[*IDS[:6], "  ", *IDS[7:]])
    with pytest.raises(InvalidDataError, match=r"v\.ids\.txt, row 7: the item id is missing"):
        read_vectors(path)


def test_a_matrix_without_ids(tmp_path):
    path = _npy(tmp_path / "v.npy", ids=None)
    with pytest.raises(ConfigError, match=r"v\.ids\.txt or v\.ids\.csv beside it.*--ids"):
        read_vectors(path)
    with pytest.raises(InvalidDataError, match=r"none\.txt: no such file"):
        read_vectors(path, tmp_path / "none.txt")


def test_ids_where_none_are_wanted(tmp_path, make_catalogue):
    path = _parquet(tmp_path / "v.parquet")
    with pytest.raises(ConfigError, match="has its ids in the column item_id"):
        embed_catalogue(make_catalogue(["x"] * 10), f"file:{path}", ids=tmp_path / "ids.txt")
    with pytest.raises(ConfigError, match="names its ids already"):
        get_encoder("file:v.npy?ids=a.txt", ids=Path("b.txt"))


def test_a_template_where_none_is_wanted(tmp_path, make_catalogue):
    path = _parquet(tmp_path / "v.parquet")
    with pytest.raises(ConfigError, match="leave out the text template"):
        embed_catalogue(make_catalogue(["x"] * 10), f"file:{path}", template="{title}")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"item_id": ["a"], "vectors": [[1.0]]}, 'no column "vector"; did you mean "vectors"'),
        ({"id": ["a"], "vector": [[1.0]]}, 'no column "item_id"'),
        ({"item_id": ["a"], "vector": ["[1.0]"]}, "must hold lists of numbers, it holds String"),
        ({"item_id": ["a"], "vector": [["1.0"]]}, "must hold lists of numbers"),
        ({"item_id": ["a"], "vector": [1.0]}, "must hold lists of numbers"),
    ],
)
def test_parquet_of_other_columns(tmp_path, table, message):
    path = tmp_path / "v.parquet"
    pl.DataFrame(table).write_parquet(path)
    with pytest.raises(InvalidDataError, match=message):
        read_vectors(path)


@pytest.mark.parametrize("suffix", [".npy", ".safetensors", ".parquet"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00v\x00", b"PAR1", b"\0" * 50])
def test_damaged_files(tmp_path, suffix, content):
    path = tmp_path / f"v{suffix}"
    path.write_bytes(content)
    (tmp_path / "v.ids.txt").write_text("\n".join(IDS))
    with pytest.raises(InvalidDataError, match=re.escape(str(path))):
        read_vectors(path)


def test_pickles_and_archives_are_refused(tmp_path):
    path = _npy(tmp_path / "v.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(InvalidDataError, match=r"no plain \.npy array"):
        read_vectors(path)
    with path.open("wb") as file:
        np.savez(file, VECTORS)
    with pytest.raises(InvalidDataError, match="archive of arrays"):
        read_vectors(path)
    with pytest.raises(InvalidDataError, match="must be numbers, got <U1"):
        read_vectors(_npy(path, np.array([["a"]] * 10)))


def test_a_missing_file_and_an_unknown_kind(tmp_path):
    with pytest.raises(InvalidDataError, match=r"none\.npy: no such file"):
        get_encoder(f"file:{tmp_path / 'none.npy'}").fingerprint()
    with pytest.raises(ConfigError, match=r"v\.pkl: vectors are kept in one of \.parquet, \.npy"):
        read_vectors(tmp_path / "v.pkl")
    with pytest.raises(ConfigError, match=r"v\.csv"):
        write_vectors(tmp_path / "v.csv", IDS, VECTORS)
