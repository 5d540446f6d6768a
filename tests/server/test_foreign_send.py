"""A host's middleware may stand between a stream and the server: it may do in `send` whatever a task can do."""

from __future__ import annotations

from collections.abc import Callable

from lab.host import Host
from lab.process import wait_for


def test_a_middleware_may_bound_each_write_and_look_at_its_context(start_host: Callable[..., Host]) -> None:
    """Live messages, typing, presence, heartbeats and the end reach both users, each written in a task and in the
    context of their own request; the host's functions are asked there too.
    PROTOCOL 7.7.1, 7.8.1, 7.9.1, 14.0.12, 5.0.8"""
    host = start_host("behind_care")
    ada, ben = host.person("ada"), host.person("ben")
    ben.sends(ada, "first")
    with ada.opens_stream() as of_ada, ben.opens_stream() as of_ben:
        of_ada.live()
        of_ben.live()
        for answer in (of_ada, ada.gets("/inbox/me"), ada.gets("/inbox/ben")):
            assert "nosniff" == answer.headers["x-content-type-options"]
        for number in range(20):
            ada.sends(ben, str(number))
            for stream in (of_ada, of_ben):
                assert str(number) == stream.until("new_message").data["text"]
        ada.types_to(ben)
        assert "ada" == of_ben.until("typing").data["chat_user_id"]
        ada.receipts(ben, read_upto=1)
        of_ben.until("message_read")
        assert of_ada.until("heartbeat").data["cursor"] == of_ada.until("heartbeat").data["cursor"]
        host.signal_stop()
        for stream in (of_ada, of_ben):
            assert "draining" == stream.until("goodbye").data["reason"]
            stream.to_end()
            assert "clean" == stream.ended
    wait_for(lambda: host.process is None or host.process.poll() is not None, what="the end of the host")
    assert "writes for" not in host.output
    assert "Timeout should be used" not in host.output
