"""When a feed opens streams and when it polls, as a state machine without input or output.

It is that of the browser's client without what pages bring along. Rules of this file, the same as of
``web/client/src/connection/machine.ts``; ``vectors/connection.json`` and ``vectors/polling.json`` hold both to them:

- There is one scheduler. A step that must come later is a moment in the state; ``deadline`` is the earliest. Every
  step looks at the clock after it has taken what happened: whoever drives the machine may come late.
- Every stream and poll has a generation; what an earlier one still reports is ignored.
- ``connected`` means that the ``connected`` frame was read, nothing less. Polls end then, and not before.
- Polls begin when no stream was live for 10 s, when one was open and mute, or where the server has none; streams are
  tried on every 30 s or so.
- Waits come from ``next_attempt``; nothing but a stable stream makes them short again.

Times are milliseconds on one clock, as in the reconnect policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from tidings.protocol.retry import Outcome, next_attempt

MUTE_AFTER_MS: Final = 8000
"""From the request to the ``connected`` frame; a server sends it with the headers, so that later means a buffer."""

POLL_AFTER_MS: Final = 10_000
"""Without a live stream for so long, polling begins."""

POLL_INTERVAL_MS: Final = 5000
PROBE_INTERVAL_MS: Final = 30_000
"""While polling, the stream is tried again every 30 s, give or take a fifth."""

NO_STREAMS: Final = "no_streams"
"""The code of a refusal: this server serves no streams to anybody."""

STABLE_AFTER_MS: Final = 10_000
"""Live for so long, and one heartbeat seen: only then are earlier failures forgotten."""

WATCHDOG_MARGIN_MS: Final = 5000

Status = Literal["idle", "connecting", "connected", "reconnecting", "polling", "unauthorized", "refused", "closed"]
TokenReason = Literal["initial", "rejected", "expired"]


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing to do or to tell.

    Attributes:
        type: ``open_stream``, ``poll``, ``abort_stream`` and ``abort_poll`` of a ``generation``; ``connected``;
            ``reachable`` (polls are answered again after trouble); ``reconnecting`` after ``delay_ms``;
            ``unauthorized``; ``refused``.
        token: Why a token is asked for; anything but ``initial`` wants one fetched anew.
    """

    type: Literal[
        "open_stream", "poll", "abort_stream", "abort_poll", "connected", "reachable", "reconnecting", "unauthorized",
        "refused",
    ]  # fmt: skip
    generation: int | None = None
    token: TokenReason | None = None
    delay_ms: float | None = None
    reason: str | None = None


@dataclass(slots=True)
class _Stream:
    generation: int
    token: TokenReason
    since: float  # when it was made, its request went out, or it became live
    phase: Literal["preparing", "opening", "live"] = "preparing"
    last_byte_at: float = 0.0
    heartbeat_ms: float = 0.0
    heartbeat_seen: bool = False

    @property
    def expires_at(self) -> float | None:
        """When its silence has lasted too long."""
        if self.phase == "live":
            return self.last_byte_at + 2 * self.heartbeat_ms + WATCHDOG_MARGIN_MS
        return self.since + MUTE_AFTER_MS if self.phase == "opening" else None


@dataclass(slots=True)
class _Poll:
    generation: int
    token: TokenReason


@dataclass(slots=True)
class _State:
    mode: Literal["idle", "running", "refused", "closed"] = "idle"
    stream: _Stream | None = None
    poll: _Poll | None = None  # the one in flight
    failures: int = 0  # in a row; what the backoff grows with
    poll_failures: int = 0
    retry_at: float | None = None
    retry_asked: bool = False  # the server named this wait
    poll_at: float | None = None
    polling: bool = False
    poll_works: bool = False  # the last one was answered; without that ``polling`` would claim too much
    mute: bool = False  # the last stream was open and said nothing: an answered poll proves nothing about streams
    alone_since: float = 0.0  # when a stream was last live
    ever_live: bool = False
    token_reason: TokenReason = "initial"
    unauthorized: bool = False
    effects: list[Effect] = field(default_factory=list)


class Machine:
    """The connection of one feed. Each method is told what happened at ``now`` and returns what follows."""

    def __init__(self, random: Callable[[], float], *, token_renewable: bool = True) -> None:
        """
        Args:
            random: Draws from [0, 1).
            token_renewable: A new token can be had when one is refused; else a 401 is the end.
        """
        self._random = random
        self._token_renewable = token_renewable
        self._generation = 0
        self._state = _State()

    @property
    def status(self) -> Status:
        """How it is shown."""
        s = self._state
        if s.mode != "running":
            return s.mode
        if s.stream is not None and s.stream.phase == "live":
            return "connected"
        if s.unauthorized:
            return "unauthorized"
        if s.polling and s.poll_works:
            return "polling"
        return "reconnecting" if s.ever_live or s.failures else "connecting"

    @property
    def deadline(self) -> float | None:
        """When it must be woken with ``tick`` at the latest; none when only an event can change anything."""
        s = self._state
        if s.mode != "running":
            return None
        moments = [s.stream.expires_at if s.stream is not None else s.retry_at]
        if self._may_poll():
            if not s.polling:
                moments.append(s.alone_since + POLL_AFTER_MS)
            elif s.poll is None:
                moments.append(s.poll_at)
        return min((moment for moment in moments if moment is not None), default=None)

    def connect(self, now: float) -> list[Effect]:
        """Begin, or begin anew after the end; the first attempt goes out at once."""
        if self._state.mode != "running":
            self._state = _State(mode="running", alone_since=now, retry_at=now)
        return self._settle(now)

    def disconnect(self, now: float) -> list[Effect]:
        """End."""
        if self._state.mode != "idle":
            self._stop("closed", now)
        return self._settle(now)

    def tick(self, now: float) -> list[Effect]:
        """Nothing but time has passed."""
        return self._settle(now)

    def abandon(self, generation: int, now: float) -> None:
        """An attempt was not made, since no token could be had; the next step makes it."""
        s = self._state
        for attempt in (s.stream, s.poll):
            if attempt is not None and attempt.generation == generation:
                s.token_reason = attempt.token
        if s.stream is not None and s.stream.generation == generation:
            s.stream, s.retry_at = None, now
        elif s.poll is not None and s.poll.generation == generation:
            s.poll, s.poll_at = None, now

    def stream_requested(self, generation: int, now: float) -> list[Effect]:
        """The request goes out now."""
        stream = self._stream_of(generation)
        if stream is not None:
            stream.phase, stream.since = "opening", now
        return self._settle(now)

    def stream_bytes(self, generation: int, now: float) -> list[Effect]:
        """Bytes of the body came."""
        stream = self._stream_of(generation)
        if stream is not None:
            stream.last_byte_at = now
            # A busy stream sends no heartbeats: bytes after a heartbeat's time prove as much.
            if stream.phase == "live" and now - stream.since >= stream.heartbeat_ms:
                stream.heartbeat_seen = True
        return self._settle(now)

    def stream_connected(self, generation: int, heartbeat_ms: float, now: float) -> list[Effect]:
        """The ``connected`` frame was read."""
        s, stream = self._state, self._stream_of(generation)
        if stream is not None:
            stream.phase, stream.since, stream.last_byte_at = "live", now, now
            stream.heartbeat_ms = heartbeat_ms
            self._abort_poll(now)
            s.polling = s.poll_works = s.mute = s.unauthorized = False
            s.token_reason = "initial"
            s.poll_failures = 0
            s.ever_live = True
            s.effects.append(Effect("connected"))
        return self._settle(now)

    def stream_heartbeat(self, generation: int, in_step: bool, now: float) -> list[Effect]:
        """A heartbeat was read; ``in_step`` if it stands where the client does."""
        stream = self._stream_of(generation)
        if stream is not None:
            stream.heartbeat_seen = True
            if not in_step:
                self._lose(Outcome("violation"), "events were missed", now)
        return self._settle(now)

    def stream_goodbye(self, generation: int, retry_ms: float, reason: str, now: float) -> list[Effect]:
        """The server said so."""
        if self._stream_of(generation) is not None:
            if reason == "token_expired":
                self._state.token_reason = "expired"
            self._lose(Outcome("goodbye", retry_ms=retry_ms), reason, now)
        return self._settle(now)

    def stream_ended(self, generation: int, outcome: Outcome, reason: str, now: float) -> list[Effect]:
        """It ended in any other way."""
        stream = self._stream_of(generation)
        if stream is not None:
            if outcome.kind == "end" and stream.phase != "live":
                outcome = Outcome("network")
            self._lose(outcome, reason, now)
        return self._settle(now)

    def poll_done(self, generation: int, more: bool, now: float) -> list[Effect]:
        """A poll was answered; ``more`` if the log goes on after it."""
        s = self._state
        if s.poll is not None and s.poll.generation == generation:
            s.poll, s.poll_failures = None, 0
            is_known, s.unauthorized = s.poll_works and not s.unauthorized, False
            s.poll_at = now if more else now + self._poll_wait()
            if not is_known:
                s.poll_works = True
                s.effects.append(Effect("reachable"))
                # The server is back; unless the last stream was mute, there is no reason to wait for the next probe.
                if not s.mute and not s.retry_asked and s.retry_at is not None:
                    s.retry_at = min(s.retry_at, now + self._random() * 1000)
        return self._settle(now)

    def poll_failed(self, generation: int, outcome: Outcome, reason: str, now: float) -> list[Effect]:
        """A poll was refused or lost."""
        s = self._state
        if s.poll is not None and s.poll.generation == generation:
            self._fail_poll(s.poll.token, outcome, reason, now)
        return self._settle(now)

    def _fail_poll(self, token: TokenReason, outcome: Outcome, reason: str, now: float) -> None:
        s = self._state
        s.poll = None
        s.poll_works = False
        # Where polls do not get through either, a mute stream said nothing about streams.
        if outcome.kind in ("network", "timeout"):
            s.mute = False
        following = next_attempt(s.poll_failures, _with_refreshed(outcome, token), self._random())
        s.poll_failures = following.failures
        if following.action == "stop" or (outcome.status == 401 and not self._token_renewable):
            self._refuse(outcome, reason, now)
        elif following.action == "refresh":
            s.token_reason, s.poll_at = "rejected", now
        else:
            s.poll_at = now + max(following.wait_ms, self._poll_wait())
            if outcome.status == 401:
                self._reject(now)
                if s.stream is None and s.retry_at is None:
                    s.retry_at = now + following.wait_ms

    def _lose(self, outcome: Outcome, reason: str, now: float) -> None:
        """The stream is over; decide when the next one begins."""
        s = self._state
        assert s.stream is not None, "only an open stream is lost"
        is_stable, token = self._is_stable(now), s.stream.token
        self._end_stream(now)
        ended = replace(_with_refreshed(outcome, token), stable=is_stable)
        following = next_attempt(s.failures, ended, self._random())
        s.failures = following.failures
        if following.action == "stop" or (outcome.status == 401 and not self._token_renewable):
            return self._refuse(outcome, reason, now)
        if following.action == "refresh":
            s.token_reason, s.retry_at = "rejected", now
            return None
        if outcome.status == 401:
            self._reject(now)
        wait_ms = following.wait_ms
        if outcome.kind == "mute":
            s.mute, s.unauthorized = True, False
            if not s.polling:
                s.polling, s.poll_at = True, now
        elif outcome.kind != "goodbye":
            s.mute = False
        if reason == NO_STREAMS:
            s.failures = 0  # it serves as it means to
            if not s.polling:
                s.polling, s.poll_at = True, now
            if s.unauthorized and s.poll is None:
                self._ask()  # it was not asked who asks; a poll is
        if s.polling and not s.unauthorized and outcome.kind != "goodbye":
            wait_ms = max(wait_ms, PROBE_INTERVAL_MS * (0.8 + 0.4 * self._random()))
        s.retry_at = now + wait_ms
        s.retry_asked = outcome.kind == "goodbye" or outcome.retry_after_s is not None
        s.effects.append(Effect("reconnecting", delay_ms=wait_ms, reason=reason))
        return None

    def _settle(self, now: float) -> list[Effect]:
        """Everything that has become due."""
        s = self._state
        if s.mode == "running":
            if s.stream is not None:
                expires_at = s.stream.expires_at
                if expires_at is not None and expires_at <= now:
                    kind: Literal["timeout", "mute"] = "timeout" if s.stream.phase == "live" else "mute"
                    self._lose(Outcome(kind), kind, now)
                elif self._is_stable(now):
                    s.failures = 0
            if self._may_poll():
                if not s.polling and now >= s.alone_since + POLL_AFTER_MS:
                    s.polling, s.poll_at = True, now
                if s.polling and s.poll is None and s.poll_at is not None and s.poll_at <= now:
                    self._ask()
            if s.stream is None and s.retry_at is not None and s.retry_at <= now:
                s.retry_at = None
                s.stream = _Stream(self._next_generation(), self._take_token_reason(), now)
                s.effects.append(Effect("open_stream", s.stream.generation, s.stream.token))
        effects, s.effects = s.effects, []
        return effects

    def _ask(self) -> None:
        """Poll."""
        s = self._state
        s.poll_at = None
        s.poll = _Poll(self._next_generation(), self._take_token_reason())
        s.effects.append(Effect("poll", s.poll.generation, s.poll.token))

    def _refuse(self, outcome: Outcome, reason: str, now: float) -> None:
        if outcome.status == 204:
            return self._stop("closed", now)
        self._stop("refused", now)
        self._state.effects.append(Effect("refused", reason=reason))
        return None

    def _stop(self, mode: Literal["refused", "closed"], now: float) -> None:
        s = self._state
        self._end_stream(now)
        self._abort_poll(now)
        s.mode = mode
        s.retry_at = s.poll_at = None
        s.polling = s.poll_works = False

    def _reject(self, now: float) -> None:
        s = self._state
        s.token_reason = "rejected"
        if not s.unauthorized:
            s.effects.append(Effect("unauthorized"))
        s.unauthorized = True
        self._abort_poll(now)

    def _end_stream(self, now: float) -> None:
        s = self._state
        if s.stream is None:
            return
        if self._is_stable(now):
            s.failures = 0
        if s.stream.phase == "live":
            s.alone_since = now
        s.effects.append(Effect("abort_stream", s.stream.generation))
        s.stream = None

    def _abort_poll(self, now: float) -> None:
        s = self._state
        if s.poll is not None:
            s.effects.append(Effect("abort_poll", s.poll.generation))
            s.poll, s.poll_at = None, now

    def _may_poll(self) -> bool:
        """Polls are for when nothing is live; unauthorized they would only fail."""
        s = self._state
        return not (s.stream is not None and s.stream.phase == "live") and not s.unauthorized

    def _is_stable(self, now: float) -> bool:
        stream = self._state.stream
        if stream is None or stream.phase != "live":
            return False
        return stream.heartbeat_seen and now - stream.since >= STABLE_AFTER_MS

    def _take_token_reason(self) -> TokenReason:
        s = self._state
        reason = s.token_reason
        # While rejected every attempt asks anew; otherwise one forced token is enough.
        if not s.unauthorized:
            s.token_reason = "initial"
        return reason

    def _stream_of(self, generation: int) -> _Stream | None:
        stream = self._state.stream
        return stream if stream is not None and stream.generation == generation else None

    def _next_generation(self) -> int:
        self._generation += 1
        return self._generation

    def _poll_wait(self) -> float:
        """Polls of many clients that lost one server must not stay in step."""
        return POLL_INTERVAL_MS * (0.9 + 0.2 * self._random())


def _with_refreshed(outcome: Outcome, token: TokenReason) -> Outcome:
    return replace(outcome, refreshed=token == "rejected") if outcome.kind == "status" else outcome
