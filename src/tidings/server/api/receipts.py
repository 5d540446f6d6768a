"""``POST /receipts``: how far somebody has received and read."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, NamedTuple

from starlette.types import Receive, Scope

from tidings.errors import BadRequest, NotFound
from tidings.protocol.encoding import encode_json
from tidings.protocol.shapes import ReceiptBody, ReceiptTold, Received, ReceivedList, Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.api.answer import Answer
from tidings.server.api.endpoint import posted
from tidings.server.api.request import ASKED_SEQ_MAX, read_peer, read_shape
from tidings.server.node import Node

RECEIPTS_PER_REQUEST_MAX = 100  # conversations; a first visit has hundreds, within the rate and one commit each


class _Receipt(NamedTuple):
    peer: UserId
    delivered_upto: int
    read_upto: int


async def post_receipts(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Raise the caller's watermarks, in one conversation or in several; what does not rise changes nothing."""
    caller, body = await posted(node, scope, receive)
    user = caller.user
    advance = partial(node.store.advance, user, tells_strangers=node.config.stranger_receipts)
    several = body.get("receipts")
    if several is None:
        receipt = _read_receipt(body, user)
        caller.take(node.rates.receipts)
        watermarks = await advance(*receipt)
        return Answer(200, encode_json(Received(watermarks=watermarks)))
    receipts = [_read_receipt(each, user) for each in _read_list(several)]
    caller.take(node.rates.receipts)
    # Together, so that the writer has them in one commit.
    advanced = await asyncio.gather(*(advance(*each) for each in receipts), return_exceptions=True)
    told = [_told(receipt.peer, each) for receipt, each in zip(receipts, advanced, strict=True)]
    return Answer(200, encode_json(ReceivedList(user_id=user, receipts=told)))


def _told(peer: UserId, outcome: Watermarks | BaseException) -> ReceiptTold:
    """The list's entry for one conversation: one that is refused does not spoil the others."""
    if isinstance(outcome, NotFound):
        return ReceiptTold(peer, code=outcome.code)
    if isinstance(outcome, BaseException):
        raise outcome
    return ReceiptTold(peer, watermarks=outcome)


def _read_list(several: object) -> list[dict[str, Any]]:
    if not isinstance(several, list) or not all(isinstance(each, dict) for each in several):
        raise BadRequest("wrong_type", "receipts is a list of objects.")
    if not 1 <= len(several) <= RECEIPTS_PER_REQUEST_MAX:
        raise BadRequest("wrong_type", f"receipts has 1 to {RECEIPTS_PER_REQUEST_MAX} objects.")
    return several


def _read_receipt(body: dict[str, Any], user: UserId) -> _Receipt:
    told = read_shape(body, ReceiptBody)
    peer = read_peer(told.chatUserId, user)
    if told.delivered_upto is None and told.read_upto is None:
        raise BadRequest("missing_fields", "Missing required fields: delivered_upto or read_upto")
    delivered_upto, read_upto = told.delivered_upto or 0, told.read_upto or 0
    if min(delivered_upto, read_upto) < 0 or max(delivered_upto, read_upto) > ASKED_SEQ_MAX:
        raise BadRequest("wrong_type", "delivered_upto and read_upto are message numbers from 0.")
    return _Receipt(peer, delivered_upto, read_upto)
