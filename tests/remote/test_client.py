from __future__ import annotations

import logging
import socket

import numpy as np
import pytest

from llmseq.embeddings.encoders import get_encoder
from llmseq.errors import ConfigError, GenerationError
from llmseq.models.prompt.config import PromptConfig
from llmseq.models.prompt.hosted import hosted_lists
from llmseq.models.prompt.titles import Titles
from llmseq.remote.answers import Answers
from llmseq.remote.client import RemoteClient
from llmseq.remote.endpoint import EndpointConfig
from llmseq.remote.spending import Pace

ASKED = [{"role": "user", "content": "what next?"}]


def ask(client, n=1):
    return client.chat(ASKED, n=n, temperature=0.25, top_p=1.0)


@pytest.mark.parametrize("fault", [429, 500, 503, "cut off", "bad json", "empty"])
def test_a_fault_that_passes_is_tried_again(server, connect, fault):
    server.script = [fault, fault, "ok"]
    client = connect()
    assert ask(client) == ["rose soap"]
    assert len(server.requests) == client.n_requests == 3
    assert connect.sleeps == ([7.0, 7.0] if fault == 429 else [1.0, 2.0])


def test_a_slow_server_counts_as_failed(server, connect):
    server.script = ["slow"]
    assert ask(connect(timeout_seconds=0.2)) == ["rose soap"]
    server.script = ["slow"] * 2
    with pytest.raises(GenerationError, match=r"no answer within 0\.2 s, after 2 tries"):
        connect(timeout_seconds=0.2, max_retries=1).chat(
            [{"role": "user", "content": "else"}], n=1, temperature=1.0, top_p=1.0
        )


@pytest.mark.parametrize("fault", [500, "cut off", "bad json", "empty"])
def test_a_fault_that_stays_is_an_error_that_says_how_to_go_on(server, connect, fault):
    server.script = [fault] * 9
    with pytest.raises(GenerationError, match=r"after 3 tries; answers so far are kept"):
        ask(connect(max_retries=2))
    assert len(server.requests) == 3


def test_a_wrong_key_is_said_once_and_never_shown(server, connect, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-key-42")
    with pytest.raises(GenerationError, match="key in OPENAI_API_KEY is not accepted") as error:
        ask(connect())
    assert len(server.requests) == 1
    shown = str(error.value) + repr(error.value.__context__) + caplog.text
    assert "sk-wrong-key-42" not in str(error.value)
    assert "sk-wrong-key-42" not in caplog.text
    assert "***" in str(error.value), shown  # the server sent it back


def test_a_key_is_needed(monkeypatch, tmp_path):
    monkeypatch.setenv("MY_KEY", " ")
    endpoint = EndpointConfig(base_url="http://127.0.0.1:9/v1", model="m", key_variable="MY_KEY")
    with pytest.raises(ConfigError, match="environment variable MY_KEY holds no key"):
        RemoteClient(endpoint, Answers(tmp_path))


def test_an_unreachable_server_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-any")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    endpoint = EndpointConfig(base_url=url, model="m", max_retries=1)
    waits = []
    client = RemoteClient(endpoint, Answers(tmp_path), sleep=waits.append)
    with pytest.raises(GenerationError, match=f"{url}: no connection .* after 2 tries"):
        ask(client)
    assert waits == [1.0]


def test_an_unknown_model_is_not_tried_again(server, connect):
    server.script = [404]
    with pytest.raises(GenerationError, match=r"check base_url and the model's name"):
        ask(connect())
    assert len(server.requests) == 1


def test_answers_are_paid_for_once(server, connect):
    assert ask(connect(), n=3) == ["rose soap"] * 3
    assert len(server.requests) == 1
    assert ask(connect(), n=2) == ["rose soap"] * 2
    assert len(server.requests) == 1
    assert ask(connect(), n=5) == ["rose soap"] * 5  # two more
    assert server.requests[-1][1]["n"] == 2


def test_a_server_that_gives_one_answer_is_asked_again(server, connect):
    server.one_choice = True
    assert ask(connect(), n=3) == ["rose soap"] * 3
    assert len(server.requests) == 3


def test_a_damaged_answer_on_disk_is_asked_again(server, connect):
    ask(connect())
    (file,) = connect.folder.rglob("*.json")
    file.write_text("{")
    assert ask(connect()) == ["rose soap"]
    assert len(server.requests) == 2


def test_the_key_is_in_no_file(server, connect):
    ask(connect())
    kept = b"".join(file.read_bytes() for file in connect.folder.rglob("*.json"))
    assert kept
    assert b"very-secret" not in kept


def test_spending_stops_before_the_cap(server, connect):
    client = connect(max_tokens_spent=300, max_answer_tokens=50)
    for number in range(2):
        client.chat([{"role": "user", "content": str(number)}], n=1, temperature=1.0, top_p=1.0)
    with pytest.raises(GenerationError, match=r"cap of 300 tokens .*200 are spent"):
        client.chat([{"role": "user", "content": "x" * 600}], n=1, temperature=1.0, top_p=1.0)
    assert len(server.requests) == 2


def test_requests_are_spread_over_the_minute():
    now, slept = [100.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(30, sleep=sleep, clock=lambda: now[0])
    for _ in range(3):
        pace.wait()
    assert slept == [2.0, 2.0]


def test_embeddings_come_in_the_order_of_the_texts(server, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("LLMSEQ_CACHE", str(tmp_path))
    encoder = get_encoder("remote:small", batch_size=2)
    vectors = encoder.encode(["a", "bbb", "cc"])
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1.0, 1.0], [3.0, 1.0], [2.0, 1.0]]
    assert [len(body["input"]) for _, body, _ in server.requests] == [2, 1]
    get_encoder("remote:small", batch_size=2).encode(["a", "bbb", "cc"])
    assert len(server.requests) == 2


def test_the_cap_of_embeddings_comes_from_the_environment(server, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("LLMSEQ_CACHE", str(tmp_path))
    monkeypatch.setenv("LLMSEQ_MAX_TOKENS", "12")
    encoder = get_encoder("remote:small", batch_size=1)
    with pytest.raises(GenerationError, match="cap of 12 tokens"):
        encoder.encode(["a", "b" * 30])
    monkeypatch.setenv("LLMSEQ_MAX_TOKENS", "many")
    with pytest.raises(ConfigError, match="max_tokens_spent"):
        get_encoder("remote:small")


TITLES = Titles.of(["rose soap", "hand cream", None, "rose balm"], np.array([3, 2, 1, 1]))


def hosted(client, task="genitem", choices=None, **decoding):
    config = PromptConfig(
        task=task,
        form="chat",
        endpoint={"model": "m"},
        decoding={"method": "sampled", "n_beams": 3, **decoding},
    )
    allowed = np.array([True, False, False, True])
    return hosted_lists(config, TITLES, [np.array([1])], [allowed], choices, client)


def test_a_hosted_model_is_asked_and_its_answers_matched(server, connect):
    (listed,), written = hosted(connect())
    assert [item for item, _ in listed] == [0, 3]  # two repeats, one free item
    assert (written.n_titles, written.n_repeats) == (3, 2)
    told = server.requests[0][1]["messages"]
    assert told[0]["role"] == "system"
    assert "- hand cream\n" in told[1]["content"]
    assert server.requests[0][1]["temperature"] == 0.25


def test_a_list_is_read_line_by_line_without_its_numbers(server, connect):
    server.say = lambda body: "1. rose balm\n2. something else\n\n- Rose Soap"
    (listed,), written = hosted(connect(), task="genlist")
    assert [item for item, _ in listed] == [3, 0]
    assert (written.n_titles, written.n_unknown) == (3, 1)


def test_a_stopped_run_asks_only_what_is_missing(server, connect):
    server.script = ["ok", 401]
    config = PromptConfig(
        form="chat", endpoint={"model": "m"}, decoding={"method": "sampled", "n_beams": 2}
    )
    histories = [np.array([1]), np.array([0, 1])]
    allowed = [np.array([True, True, False, True])] * 2
    with pytest.raises(GenerationError):
        hosted_lists(config, TITLES, histories, allowed, None, connect())
    hosted_lists(config, TITLES, histories, allowed, None, connect())
    assert len(server.requests) == 3
