import numpy as np
import polars as pl
import pytest

from llmseq.errors import InvalidDataError
from llmseq.evaluation.lists import read_lists, score_lists


@pytest.fixture
def write(tmp_path):
    def _write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return _write


def named(files, row):
    """A list or a row of targets as positions in the order of first mention."""
    return [item for item in files.recommendations.items[row].tolist() if item >= 0]


def test_rows_and_columns_in_any_order(write):
    lists = write("r.csv", "item_id,extra,rank,session_id\nb,,7,s1\nc,,1,s2\na,,3,s1\nd,,9,s1\n")
    targets = write("t.csv", "item_id,session_id\nc,s2\nd,s1\na,s1\n")
    catalogue = write("c.csv", "item_id\na\nb\nc\nd\n")
    files = read_lists(lists, targets, catalogue=catalogue)
    assert files.session_ids.tolist() == ["s2", "s1"]
    assert [named(files, row) for row in (0, 1)] == [[2], [0, 1, 3]]
    assert [files.targets[row].tolist() for row in (0, 1)] == [[2], [3, 0]]
    assert (files.n_catalogue, files.n_items, files.popularity, files.notes) == (4, 4, None, ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("session_id,rank,item_id\ns,0,a\ns,1,b\ns,10,c\n", "abc"),
        ("session_id,rank,item_id\ns,10,a\ns,9,b\ns,1,c\n", "cba"),
        ("session_id,order,item_id\ns,2,a\ns,1,b\ns,3,c\n", "bac"),
        ("session_id,score,item_id\ns,0.1,a\ns,0.7,b\ns,0.7,c\n", "bca"),
        ("session_id,rank,score,item_id\ns,1,0.1,a\ns,2,0.7,b\ns,3,1e3,c\n", "abc"),
        ("session_id,item_id\ns,c\ns,a\ns,b\n", "cab"),
    ],
)
def test_order_of_a_list(write, text, expected):
    catalogue = write("c.csv", "item_id\na\nb\nc\n")
    files = read_lists(write("r.csv", text), write("t.csv", "session_id,item_id\ns,a\n"),
                       catalogue=catalogue)  # fmt: skip
    assert "".join("abc"[item] for item in named(files, 0)) == expected


def test_parquet_and_numbers_as_ids(tmp_path, write):
    pl.DataFrame({"session_id": [7, 7], "item_id": [3, 5], "rank": [2, 1]}).write_parquet(
        tmp_path / "r.parquet"
    )
    targets = write("t.csv", "session_id,item_id\n7,3\n")
    result = score_lists(read_lists(tmp_path / "r.parquet", targets), ks=(1, 2))
    assert (result.means["hr@1"], result.means["mrr@2"]) == (0.0, 0.5)


def test_sessions_without_a_list_miss_and_unknown_ones_are_left_out(write):
    lists = write("r.csv", "session_id,item_id\ns1,a\nnobody,a\nnobody,b\n")
    files = read_lists(lists, write("t.csv", "session_id,item_id\ns1,a\ns2,a\ns3,b\n"))
    assert (files.n_without_list, files.n_unknown_sessions) == (2, 1)
    assert "counted as misses: 2 of 3" in files.notes[0]
    assert "left out: 1" in files.notes[1]
    assert score_lists(files, (5,)).means["hr@5"] == pytest.approx(1 / 3)


def test_coverage_and_popularity_by_hand(write):
    # Counts a 3, b 1. Lists: (a, z), (b). z is not in the catalogue of four.
    lists = write("r.csv", "session_id,item_id\ns1,a\ns1,z\ns2,b\n")
    files = read_lists(
        lists,
        write("t.csv", "session_id,item_id\ns1,z\ns2,b\n"),
        catalogue=write("c.csv", "item_id\na\nb\nc\nd\n"),
        train=write("tr.csv", "session_id,item_id\nx,a\nx,a\ny,a\ny,b\n"),
    )
    means = score_lists(files, (1, 2)).means
    assert files.popularity.tolist() == [3, 1, 0, 0, 0]
    assert means["coverage@1"] == 2 / 4
    assert means["coverage@2"] == 2 / 4  # z takes its place but is no coverage
    assert means["hr@2"] == 1.0  # and may be a target all the same
    assert means["serendipity@1"] == 0.5  # b is not the most popular item
    assert means["serendipity@2"] == 0.5  # now b is among the two most popular, z is not
    bits_a, bits_b = -np.log2(3 / 4), 2.0
    assert means["novelty@1"] == pytest.approx((bits_a + bits_b) / 2)
    assert means["novelty@2"] == pytest.approx(((bits_a + 2.0) / 2 + bits_b) / 2)
    assert means["gini@2"] == pytest.approx(0.5)  # two items listed once, two never
    assert 'for example "z"' in files.notes[-1]


def test_items_outside_the_catalogue_push_others_down(write):
    files = read_lists(
        write("r.csv", "session_id,item_id\ns1,z\ns1,a\ns2,a\n"),
        write("t.csv", "session_id,item_id\ns1,a\ns2,b\n"),
        catalogue=write("c.csv", "item_id\na\nb\n"),
    )
    means = score_lists(files, (1, 2)).means
    assert (means["hr@1"], means["mrr@2"]) == (0.0, 0.25)
    assert (means["coverage@1"], means["coverage@2"]) == (0.5, 0.5)


def test_without_catalogue_and_train_their_metrics_are_left_out(write):
    lists = write("r.csv", "session_id,item_id\ns1,a\n")
    means = score_lists(read_lists(lists, write("t.csv", "session_id,item_id\ns1,a\n"))).means
    assert {name.partition("@")[0] for name in means} == {
        "ndcg", "hr", "mrr", "recall", "precision", "map",
    }  # fmt: skip


def test_a_target_named_twice_counts_once(write):
    files = read_lists(
        write("r.csv", "session_id,item_id\ns1,a\n"),
        write("t.csv", "session_id,item_id\ns1,a\ns1,b\ns1,a\n"),
    )
    assert files.targets.lengths.tolist() == [2]
    assert "counted once: 1" in files.notes[0]
    assert score_lists(files, (1,)).means["recall@1"] == 0.5


def test_users_are_people(write):
    files = read_lists(
        write("r.csv", "session_id,item_id\ns1,a\n"),
        write("t.csv", "session_id,item_id,user_id\ns1,a,u\ns2,a,u\ns3,a,\ns4,a,s3\n"),
    )
    assert len(set(files.users)) == 3
    assert files.users[0] == files.users[1]


TARGETS = "session_id,item_id\ns1,a\n"


@pytest.mark.parametrize(
    ("lists", "targets", "message"),
    [
        ("session_id,item_id\ns1,a\ns1,b\ns1,a\n", TARGETS, r'session "s1" holds item "a" more'),
        ("session_id,item_id,rank\ns1,a,1\ns1,b,1.0\n", TARGETS, r'"s1" has two items at rank 1$'),
        ("session_id,item_id,rank\ns1,a,1\ns1,b,x\n", TARGETS, r'row 3, column rank: .*got "x"'),
        ("session_id,item_id,rank\ns1,a,\n", TARGETS, r'row 2, column rank: .*got ""'),
        ("session_id,item_id,rank\ns1,a,nan\n", TARGETS, r"row 2, column rank: expected a number"),
        ("session_id,item_id\ns1,\n", TARGETS, r"r\.csv, row 2, column item_id: is empty"),
        ("session_id,item\ns1,a\n", TARGETS, r'no column "item_id"; did you mean "item"'),
        ("session_id,item_id\ns1,a\n", "session_id,item_id\n,a\n", r"t\.csv, row 2, column sess"),
        ("session_id,item_id\ns9,a\n", TARGETS, r'no session of .* "s9" against "s1"'),
        ("", TARGETS, r"r\.csv: is empty"),
    ],
)
def test_wrong_files_are_named(write, lists, targets, message):
    with pytest.raises(InvalidDataError, match=message):
        read_lists(write("r.csv", lists), write("t.csv", targets))
