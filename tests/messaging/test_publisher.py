"""Publishing: by itself, as a base class, mixed into a model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgpack
import pytest
import redis
import redis.client

import popoto
from popoto import KeyField, Model, Publisher, PublisherException, StringField, redis_db
from tests.driver import Api


class News(Publisher):
    pass


class ModelFirst(Model, Publisher):
    name = KeyField()


class PublisherFirst(Publisher, Model):
    name = KeyField()
    text = StringField(default="")


@pytest.fixture
def heard(redis_client: redis.Redis) -> Iterator[Heard]:
    listener = Heard(redis_client)
    yield listener
    listener.pubsub.close()


class Heard:
    """What arrives on every channel."""

    def __init__(self, client: redis.Redis) -> None:
        self.pubsub = client.pubsub()
        self.pubsub.psubscribe("*")
        self.pubsub.get_message(timeout=60)
        # On a cluster what an earlier test has sent by another node may come only now.
        nodes: list[redis.Redis] = getattr(client, "nodes", [client])
        for node in nodes:
            node.publish("begin", msgpack.packb(None))
        for _ in nodes:
            while self.next()[0] != "begin":
                pass

    def next(self) -> tuple[str, object]:
        event = self.pubsub.get_message(timeout=60)
        assert event is not None
        return event["channel"].decode(), msgpack.unpackb(event["data"], strict_map_key=False)

    def nothing(self) -> bool:
        return self.pubsub.get_message(timeout=0.005) is None


@pytest.mark.single_server("on a cluster PUBLISH counts the receivers of one node")
def test_the_channel_is_the_class_name_unless_it_is_given(api: Api, heard: Heard) -> None:
    assert News().channel_name == "News"
    assert api(News().publish, {"a": 1}) == 1
    assert heard.next() == ("News", {"a": 1})

    alone = Publisher(channel_name="x")
    assert api(alone.publish, {"b": [1, None, b"z"]}) == 1
    assert heard.next() == ("x", {"b": [1, None, b"z"]})

    alone.channel_name = "y"
    api(alone.publish, {"c": 1})
    assert heard.next() == ("y", {"c": 1})

    api(alone.publish, {"c": 1}, channel_name="z")
    assert heard.next() == ("z", {"c": 1})
    assert alone.channel_name == "y"


def test_arguments_of_other_kinds_are_accepted() -> None:
    with pytest.warns(UserWarning, match="takes channel_name=… alone") as told:
        assert Publisher(1, two=2).channel_name == "Publisher"
    assert [str(each.message).partition(":")[0] for each in told] == [
        "Publisher(1)",
        "Publisher(two=…)",
    ]


def test_a_subclass_may_hand_on_its_arguments() -> None:
    class Own(Publisher):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)

    assert Own(1, channel_name="own").channel_name == "own"


def test_the_number_of_receivers_is_returned(api: Api) -> None:
    assert api(News().publish, {"a": 1}) == 0


def test_without_data_the_last_data_of_this_instance_are_sent(api: Api, heard: Heard) -> None:
    news = News()
    for nothing in ((), ({},)):
        with pytest.warns(UserWarning, match="nothing is sent") as told:
            assert api(news.publish, *nothing) is None
        assert len(told) == 1
    assert heard.nothing()
    api(news.publish, {"a": 1})
    assert heard.next() == ("News", {"a": 1})
    api(news.publish)
    assert heard.next() == ("News", {"a": 1})
    with pytest.warns(UserWarning, match="sends once more what this instance sent last"):
        api(news.publish, {})
    assert heard.next() == ("News", {"a": 1})
    with pytest.warns(UserWarning, match="nothing is sent"):
        assert api(News().publish) is None
    assert heard.nothing()


@pytest.mark.parametrize("data", [0, False, "", [], [1, "two"], 2.5, "text", b"bytes", {1: 2}])
def test_any_value_of_msgpack_is_sent(data: object, heard: Heard) -> None:
    News().publish(data)
    assert heard.next() == ("News", data)


@pytest.mark.parametrize("channel", [None, ""])
def test_without_a_channel_it_is_an_error(api: Api, channel: str | None) -> None:
    news = News(channel_name=channel)
    with pytest.raises(PublisherException, match="missing channel"):
        api(news.publish, {"a": 1})


def test_data_that_msgpack_does_not_know_are_an_error_and_not_remembered(api: Api) -> None:
    news = News()
    with pytest.raises(PublisherException, match=r"News cannot publish.*to_dict\(\)"):
        api(news.publish, {"a": object()})
    with pytest.warns(UserWarning, match="nothing is sent"):
        assert api(news.publish) is None


def test_a_pipeline_is_given_back_with_the_message_in_it(api: Api, heard: Heard) -> None:
    pipeline = redis_db.POPOTO_REDIS_DB.pipeline()
    news = News()
    assert api(news.publish, {"a": 1}, pipeline=pipeline) is pipeline
    assert api(news.publish, {"a": 2}, channel_name="other", pipeline=pipeline) is pipeline
    assert heard.nothing()
    assert pipeline.execute() == [1, 1]
    assert heard.next() == ("News", {"a": 1})
    assert heard.next() == ("other", {"a": 2})


def test_a_pipeline_of_asyncio_serves_as_well(heard: Heard) -> None:
    async def publish() -> None:
        pipeline = (await redis_db.get_async_redis_db()).pipeline()
        assert await News().async_publish({"a": 1}, pipeline=pipeline) is pipeline
        await pipeline.execute()

    asyncio.run(publish())
    assert heard.next() == ("News", {"a": 1})


@pytest.mark.parametrize("model", [ModelFirst, PublisherFirst])
def test_models_publish_in_both_orders(
    model: type[ModelFirst | PublisherFirst], api: Api, heard: Heard
) -> None:
    record = api(model.create, name="a")
    assert record.channel_name == model.__name__
    api(record.publish, record.to_dict())
    assert heard.next() == (model.__name__, record.to_dict())

    loaded = api(model.query.get, name="a")
    assert loaded is not None
    assert loaded.channel_name == model.__name__
    loaded.channel_name = "other"
    api(loaded.publish, {"a": 1})
    assert heard.next() == ("other", {"a": 1})

    assert model(name="b", channel_name="given").channel_name == "given"
    assert model._meta.field_names == (["name"] if model is ModelFirst else ["name", "text"])


def test_loading_a_model_with_publisher_first_decodes_nothing_yet() -> None:
    PublisherFirst.create(name="a", text="long")
    (loaded,) = PublisherFirst.query.filter(name="a")
    assert "text" not in vars(loaded)


@pytest.mark.single_server("a cluster has one database")
def test_publishing_follows_a_reconfiguration(api: Api, heard: Heard) -> None:
    settings = redis_db.POPOTO_REDIS_DB.connection_pool.connection_kwargs
    redis_db.set_REDIS_DB_settings(host="localhost", port=1)
    with pytest.raises(redis.ConnectionError):
        api(News().publish, {"a": 1})
    redis_db.set_REDIS_DB_settings(unix_socket_path=settings["path"])
    assert api(News().publish, {"a": 2}) == 1
    assert heard.next() == ("News", {"a": 2})


def test_the_exception_is_one_class() -> None:
    from popoto.pubsub.publisher import PublisherException as there

    assert there is PublisherException is popoto.exceptions.PublisherException
