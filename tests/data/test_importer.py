"""The front door: what it keeps, in which order, what it drops, and every wrong input."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from llmseq.data.folder import read_dataset
from llmseq.data.importer import import_dataset
from llmseq.errors import ArtifactError, ConfigError, InvalidDataError

ITEMS = "item_id,title\nb,Blue &amp;  Bold\na,Apple\nc,\nd,Date\n" + "".join(
    f"e{i},Extra {i}\n" for i in range(20)
)
EVENTS = (
    "session_id,item_id,timestamp\n"
    "s2,b,2024-01-02\ns1,a,2024-01-01\ns2,a,2024-01-01\ns1,b,2024-01-01\n"
)


@pytest.fixture
def shop_files(tmp_path):
    """Write the two files and import them, with changes to either."""

    def run(events=EVENTS, items=ITEMS, **options):
        (tmp_path / "events.csv").write_text(events)
        (tmp_path / "items.csv").write_text(items)
        for name in ("split", "item_times"):
            if name in options:
                path = tmp_path / f"{name}.csv"
                path.write_text(options[name])
                options[name] = path
        return import_dataset(tmp_path / "events.csv", tmp_path / "items.csv", **options)

    return run


def histories(dataset):
    """Ids of the sessions and of their items."""
    ids, sessions = dataset.catalogue.ids, dataset.sessions
    return {sessions.ids[row]: ids[sessions[row]].tolist() for row in range(len(sessions))}


def entries(dataset, kind):
    return {e["key"]: (e["count"], e["of"]) for e in dataset.provenance["report"][kind]}


def test_order_is_time_then_file_and_texts_are_tidied(shop_files):
    dataset = shop_files()
    assert histories(dataset) == {"s2": ["a", "b"], "s1": ["a", "b"]}
    assert list(dataset.sessions.ids) == ["s2", "s1"]  # by first appearance
    assert dataset.catalogue.titles[:3] == ["Blue & Bold", "Apple", None]
    assert entries(dataset, "noticed") == {
        "items_without_text": (1, 24),
        "ties": (1, 4),
        "items_without_events": (22, 24),
    }
    assert entries(dataset, "dropped") == {}
    assert dataset.provenance["report"]["facts"]["times_read_as"] == "ISO dates"


def test_position_orders_within_equal_times(shop_files):
    events = (
        "session_id,item_id,timestamp,position\n"
        "s,a,2024-01-01,2\ns,b,2024-01-01,1\ns,d,2024-01-02,0\ns,a,2024-01-01,3\n"
    )
    dataset = shop_files(events)
    assert histories(dataset) == {"s": ["b", "a", "a", "d"]}
    noticed = entries(dataset, "noticed")
    assert noticed["positions_against_times"] == (1, 4)
    assert noticed["repeated_events"] == (1, 4)
    assert "ties" not in noticed


def test_file_order_where_there_is_nothing_else(shop_files):
    dataset = shop_files("session_id,item_id\ns,d\nt,a\ns,a\ns,b\n")
    assert histories(dataset) == {"s": ["d", "a", "b"], "t": ["a"]}
    assert dataset.sessions.times is None


def test_ids_stay_strings(shop_files):
    items = "item_id,title\n007,Bond\n7,Seven\n"
    dataset = shop_files("session_id,item_id\n01,007\n1,7\n", items)
    assert histories(dataset) == {"01": ["007"], "1": ["7"]}


def test_numbers_of_parquet_meet_strings_of_csv(tmp_path, shop_files):
    shop_files()
    path = tmp_path / "events.parquet"
    pl.DataFrame({"session_id": [1, 1], "item_id": [2.0, 3.0]}).write_parquet(path)
    (tmp_path / "items.csv").write_text("item_id,title\n2,Two\n3,Three\n")
    assert histories(import_dataset(path, tmp_path / "items.csv")) == {"1": ["2", "3"]}


def test_any_names_and_a_template(shop_files):
    dataset = shop_files(
        "visit;sku;when\nv;1;1700000000\n",
        "sku,name,maker\n1,Soap,Ivy\n2,Balm,\n",
        session_col="visit",
        item_col="sku",
        time_col="when",
        id_col="sku",
        title_col="name",
        text="{name}. {maker}",
    )
    assert dataset.catalogue.texts == ["Soap. Ivy", "Balm."]
    assert dataset.catalogue.titles == ["Soap", "Balm"]
    assert dataset.catalogue.table["maker"].to_list() == ["Ivy", None]
    assert dataset.sessions.times.tolist() == [1_700_000_000_000_000]


def test_people_are_cut_into_visits_at_pauses(shop_files):
    events = (
        "who,item_id,timestamp\nu,a,1700000000\nw,b,1700000000\nu,b,1700001800\n"
        "u,d,1700003601\nw,d,1700000001\n"
    )
    dataset = shop_files(events, user_col="who", session_gap="30m")
    assert histories(dataset) == {"u-1": ["a", "b"], "w-1": ["b", "d"], "u-2": ["d"]}
    assert dataset.sessions.users.tolist() == [0, 1, 0]


def test_sessions_of_nobody_known_are_not_one_person(shop_files):
    events = "session_id,who,item_id\ns,,a\nt,u,b\nv,,b\nw,u,a\n"
    assert shop_files(events, user_col="who").sessions.users.tolist() == [0, 1, 2, 1]


def test_unknown_items_and_empty_ids_are_dropped_and_counted(shop_files):
    rows = ["s,a"] * 18 + ["s,zzz", "lost,zzz", ",a", "s,"]
    dataset = shop_files("session_id,item_id\n" + "\n".join(rows) + "\n")
    assert histories(dataset) == {"s": ["a"] * 18}
    assert entries(dataset, "dropped") == {
        "events_without_id": (2, 22),
        "events_of_unknown_items": (2, 20),
        "sessions_of_unknown_items": (1, 2),
    }


def test_filters(shop_files):
    rows = ["s,a", "s,b", "s,a", "t,a", "t,b", "r,b"] + ["robot,d"] * 9
    events = "session_id,item_id\n" + "\n".join(rows) + "\n"
    dataset = shop_files(events, max_length=5, min_length=2, min_item_count=2)
    assert histories(dataset) == {"s": ["a", "b", "a"], "t": ["a", "b"]}
    assert entries(dataset, "dropped") == {
        "long_sessions": (1, 4),
        "filtered_sessions": (1, 3),
        "filtered_events": (1, 6),
    }
    assert dataset.n_items == 24  # the catalogue stays whole
    with pytest.raises(InvalidDataError, match="the filters left none of the 4 sessions"):
        shop_files(events, five_core=True, max_length=5)


def test_items_without_an_event_may_go(shop_files):
    events = "session_id,item_id\ns,d\ns,b\ns,a\nt,a\nt,d\n"
    dataset = shop_files(events, drop_unused=True, min_item_count=2)
    assert histories(dataset) == {"s": ["d", "a"], "t": ["a", "d"]}
    assert dataset.catalogue.ids.tolist() == ["a", "d"]
    assert entries(dataset, "dropped")["unused_items"] == (22, 24)
    assert "items_without_events" not in entries(dataset, "noticed")


def test_of_duplicates_the_first_may_stay(shop_files):
    dataset = shop_files(items="item_id,title\na,A\nb,B\na,A2\n", drop_duplicates=True)
    assert dataset.catalogue.titles == ["A", "B"]
    assert entries(dataset, "dropped")["duplicate_items"] == (1, 3)


def test_without_headers(shop_files):
    dataset = shop_files(
        "s::b::2\ns::a::1\n",
        "a::Apple::x\nb::Bean::y\n",
        log_header=["session_id", "item_id", "timestamp"],
        items_header=["item_id", "title"],
    )
    assert histories(dataset) == {"s": ["a", "b"]}
    assert dataset.catalogue.titles == ["Apple", "Bean"]
    assert dataset.catalogue.table.columns == ["item_id", "title", "text"]


def test_a_time_in_two_columns(shop_files):
    events = "session_id,item_id,day,clock\ns,b,2024-01-02,08:00:00\ns,a,2024-01-01,09:30:00\n"
    dataset = shop_files(events, time_col="day, clock")
    assert histories(dataset) == {"s": ["a", "b"]}
    assert np.diff(dataset.sessions.times).tolist() == [(22 * 60 + 30) * 60_000_000]
    with pytest.raises(InvalidDataError, match=r'no column "hour".*named by --time-col'):
        shop_files(events, time_col="day,hour")
    with pytest.raises(InvalidDataError, match="row 3, column day,clock: is empty"):
        shop_files(events.replace("09:30:00", ""), time_col="day,clock")


def test_a_log_alone(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("session_id,sku\ns,b\ns,a\nt,b\nt,\n")
    dataset = import_dataset(path, item_col="sku")
    assert histories(dataset) == {"s": ["b", "a"], "t": ["b"]}
    assert dataset.catalogue.ids.tolist() == ["b", "a"]
    assert dataset.catalogue.texts == [None, None]
    with pytest.raises(ConfigError, match="needs items"):
        import_dataset(path, item_col="sku", item_times=path)
    with pytest.raises(InvalidDataError, match=r'no column "item_id".*--item-col'):
        import_dataset(path)


def test_split_file(shop_files):
    dataset = shop_files(
        EVENTS + "s3,d,2024-01-03\n", split="session_id,split\ns1,Train\ns2,test \ngone,test\n"
    )
    assert dict(zip(dataset.sessions.ids, dataset.split_labels, strict=True)) == {
        "s2": "test",
        "s1": "train",
        "s3": "unlisted",
    }
    assert entries(dataset, "noticed")["unlisted_sessions"] == (1, 3)
    assert entries(dataset, "dropped")["labels_of_unknown_sessions"] == (1, 3)


def test_item_times_from_either_file(shop_files):
    dataset = shop_files(item_times="item_id,rank\na,2\nb,1\nzz,9\n")
    assert dataset.catalogue.item_times[:2].tolist() == [1.0, 2.0]
    assert entries(dataset, "noticed")["items_without_time"] == (22, 24)
    assert entries(dataset, "dropped")["times_of_unknown_items"] == (1, 3)
    items = "item_id,title,launched\na,A,2024-01-01\nb,B,2023-01-01\n"
    times = shop_files(items=items, item_time_col="launched").catalogue.item_times
    assert times[0] > times[1]


def test_written_whole_and_read_back(shop_files, tmp_path):
    dataset = shop_files(out=tmp_path / "shop", split="session_id,split\ns1,train\ns2,test\n")
    again = read_dataset(tmp_path / "shop")
    assert again.fingerprint() == dataset.fingerprint()
    assert again.provenance == dataset.provenance


WRONG = {
    "missing column": (
        {"events": "session,item_id\ns,a\n"},
        'events.csv: no column "session_id"; did you mean "session"? It has: session, item_id. '
        "Name yours with --session-col",
    ),
    "named column missing": ({"time_col": "when"}, 'events.csv: no column "when"'),
    "named user missing": ({"user_col": "who"}, 'events.csv: no column "who"'),
    "no header": (
        {"events": "196\t242\t3.5\n186\t302\t3\n"},
        'events.csv: no column "item_id". It has: 196, 242, 3.5. Its first row looks like data; if '
        "there is no header line, add one, or name the columns where a command takes them: --log-",
    ),
    "no title": ({"items": "item_id,name\na,A\n"}, "Name yours with --title-col"),
    "template column": ({"text": "{name}"}, 'items.csv: no column "name"'),
    "no item column": ({"items": "sku,title\na,A\n"}, 'items.csv: no column "item_id"'),
    "empty events": ({"events": ""}, "events.csv: is empty"),
    "empty items": ({"items": "item_id,title\n"}, "items.csv: has a header but no rows"),
    "binary": ({"events": "\0\1"}, "events.csv: is a binary file"),
    "no ids": ({"events": "session_id,item_id\n,a\n"}, "no row has both a session id and an item"),
    "times": (
        {"events": "session_id,item_id,timestamp\n,a,x\ns,a,2024-01-01\ns,b,soon\n"},
        'events.csv, row 4, column timestamp: "soon" cannot be read',
    ),
    "positions": (
        {"events": "session_id,item_id,position\ns,a,1\ns,b,first\n"},
        'events.csv, row 3, column position: "first" is no number',
    ),
    "duplicate items": (
        {"items": "item_id,title\na,A\nb,B\na,A2\n"},
        'items.csv, row 4, column item_id: the item id "a" stands there a second time',
    ),
    "unknown items": (
        {"events": EVENTS + "s1,zz,2024-01-01\n"},
        'events.csv, row 6, column item_id: the item "zz" is not in the items file, '
        "like 20.0% of all events",
    ),
    "only unknown items": (
        {"events": "session_id,item_id\ns,zz\ns,yy\n", "max_unknown": 1.0},
        'row 2, column item_id: the item "zz" is not in the catalogue, and neither is any other of '
        "the log's 2 ids",
    ),
    "unknown items without a header": (
        {"events": "s,a\ns,zz\n", "log_header": ["session_id", "item_id"]},
        'events.csv, row 2, column item_id: the item "zz" is not in the items file',
    ),
    "duplicate items without a header": (
        {"items": "a,A\na,B\n", "items_header": ["item_id", "title"]},
        'items.csv, row 2, column item_id: the item id "a" stands there a second time (1 ids are '
        "duplicated); each item needs one row: remove the others, or keep the first with --drop",
    ),
    "untexted items": (
        {"items": "item_id,title\na,A\nb,\n"},
        "items.csv, row 3: no text, as 1 of 2 items (50%; allowed are 10%)",
    ),
    "split without test": (
        {"split": "session_id,split\ns1,train\ns2,valid\n"},
        'split.csv, column split: no test sessions; expected the words "train" and "test", got',
    ),
    "split of another log": (
        {"split": "session_id,split\nx,train\ny,test\n"},
        "split.csv: none of its sessions is in the log",
    ),
    "split with two words": (
        {"split": "session_id,split\ns1,train\ns2,test\ns1,test\n"},
        'split.csv, row 4: the session "s1" has two different labels',
    ),
    "split with a gap": (
        {"split": "session_id,split\ns1,train\ns2,\n"},
        "split.csv, row 3, column split: is empty",
    ),
    "split columns": ({"split": "session_id,part\ns1,train\n"}, 'split.csv: no column "split"'),
    "item times": (
        {"item_times": "item_id,rank\na,1\nb,new\n"},
        'item_times.csv, row 3, column rank: "new" cannot be read',
    ),
    "item times twice": ({"item_times": "item_id,rank\na,1\na,2\n"}, "stands there a second time"),
    "item times of others": ({"item_times": "item_id,rank\nzz,1\n"}, "none of its ids is in the"),
    "item times unclear": ({"item_times": "item_id,x,y\na,1,2\n"}, "say which with --item-time"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input_is_one_line_and_leaves_nothing(shop_files, tmp_path, changes, message):
    with pytest.raises(InvalidDataError) as error:
        shop_files(**changes, out=tmp_path / "out" / "shop")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_limits_can_be_raised(shop_files):
    dataset = shop_files(EVENTS + "s1,zz,2024-01-01\n", max_unknown=0.2)
    assert dataset.sessions.n_events == 4
    assert shop_files(items="item_id,title\na,A\nb,\n", max_untexted=0.5).n_items == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sesion_col": "x"}, 'import: unknown setting "sesion_col"; choose from'),
        ({"max_unknown": 2}, "max_unknown"),
        ({"session_gap": "30m"}, "session_gap needs user_col"),
        ({"session_gap": "30m", "user_col": "u", "session_col": "s"}, "not both"),
        ({"session_gap": "soon", "user_col": "item_id"}, "expected a number and a unit"),
        ({"min_length": 5, "max_length": 4}, "max_length is below min_length"),
        ({"text": "{title"}, "is malformed"),
        ({"log_header": ["a", "", "b"]}, 'must name each column once, and none "", got "a,,b"'),
        ({"items_header": ["a", "a"]}, "must name each column once"),
        ({"encoding": "latin-99"}, 'encoding "latin-99" is unknown'),
        ({"encoding": "base64"}, 'encoding "base64" is unknown'),
    ],
)
def test_wrong_options(shop_files, options, message):
    with pytest.raises(ConfigError, match=message):
        shop_files(**options)


def test_never_replaces_what_is_no_dataset(shop_files, tmp_path):
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactError, match="is not a dataset"):
        shop_files(out=precious)
    assert (precious / "thesis.txt").read_text() == "years of work"
