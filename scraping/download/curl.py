"""An asyncio HTTP client for untrusted hosts, on libcurl's multi interface.

libcurl names the sockets and the timeout that asyncio's event loop has to watch, and is called when
one of them is due. An IP address is checked right before its socket opens, after the name was
resolved: the address that was checked is the one that is connected to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import pycurl

from scraping.failure_reasons import FailedError, Reason
from scraping.transfer import BodyLimit, HttpResponse, Transfer


class CurlClient:
    """GET requests of one event loop; an asynchronous context manager, built inside the loop.

    ``check_ip`` raises ``RejectedError`` for an IP address that must not be connected to. The
    client follows no redirect, keeps no cookie and decompresses nothing.
    """

    def __init__(
        self,
        check_ip: Callable[[str], None],
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
    ) -> None:
        self._check_ip = check_ip
        self._options: list[tuple[int, Any]] = [
            (pycurl.CONNECTTIMEOUT_MS, max(1, round(1000 * connect_timeout_s))),
            (pycurl.LOW_SPEED_LIMIT, 1),  # B/s, for …
            (pycurl.LOW_SPEED_TIME, max(1, round(read_timeout_s))),
        ]
        self._loop = asyncio.get_running_loop()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._waiters: dict[pycurl.Curl, asyncio.Future[int]] = {}
        self._idle: list[Transfer] = []
        self._events_by_socket: dict[int, int] = {}  # file descriptor → events
        self._due: float | None = None  # when libcurl must be called, by the loop's clock
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for curl in list(self._waiters):
            self._finish(curl, FailedError(Reason.CLOSED))
        self._idle.clear()
        self._multi.close()
        for descriptor in list(self._events_by_socket):
            self._watch(pycurl.POLL_REMOVE, descriptor, None, None)
        if self._timer is not None:
            self._timer.cancel()

    async def get(
        self,
        url: str,
        headers: Sequence[str],
        *,
        body_limit: BodyLimit,
        timeout_s: float,
        proxy: str = "",
    ) -> HttpResponse:
        """The response to a GET of ``url``, which must be ASCII, with ``headers``, ``Name: value``.

        Raises ``RejectedError`` for a malformed address and for what ``check_ip`` refuses,
        ``FailedError`` for everything else that went wrong.
        """
        transfer = self._idle.pop() if self._idle else Transfer(self._options, self._check_ip)
        try:
            transfer.begin(url, headers, body_limit, timeout_s, proxy)
            done = self._loop.create_future()
            self._waiters[transfer.curl] = done
            self._multi.add_handle(transfer.curl)
            try:
                code = await done
            finally:
                self._finish(transfer.curl)
            return transfer.end(code)
        finally:
            self._idle.append(transfer)

    def _watch(self, events: int, descriptor: int, _multi: object, _data: object) -> None:
        """Called by libcurl, which from now on waits for these events of a socket."""
        if events == pycurl.POLL_REMOVE:
            events = 0
        before = self._events_by_socket.pop(descriptor, 0)
        for bit, event, add, remove in (
            (pycurl.POLL_IN, pycurl.CSELECT_IN, self._loop.add_reader, self._loop.remove_reader),
            (pycurl.POLL_OUT, pycurl.CSELECT_OUT, self._loop.add_writer, self._loop.remove_writer),
        ):
            if events & bit and not before & bit:
                add(descriptor, self._run_transfers, descriptor, event)
            elif before & bit and not events & bit:
                remove(descriptor)
        if events:
            self._events_by_socket[descriptor] = events

    def _set_timer(self, milliseconds: int) -> None:
        """Called by libcurl to be called back after this time; a negative one means never."""
        self._due = None if milliseconds < 0 else self._loop.time() + milliseconds / 1000
        if self._due is None or (self._timer is not None and self._timer.when() <= self._due):
            return  # libcurl sets it with every transfer: a timer that rings early is set again
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._due > self._loop.time():
            self._timer = self._loop.call_at(self._due, self._on_timer)
        else:
            self._run_transfers(pycurl.SOCKET_TIMEOUT, 0)

    def _run_transfers(self, descriptor: int, event: int) -> None:
        self._multi.socket_action(descriptor, event)
        while True:
            num_queued, finished, failed = self._multi.info_read()
            for curl in finished:
                self._finish(curl)
            for curl, code, _message in failed:
                self._finish(curl, code)
            if not num_queued:
                return

    def _finish(self, curl: pycurl.Curl, outcome: int | FailedError = 0) -> None:
        """Remove a transfer from libcurl, ended or not, and wake the task that waits for it.

        The task gets ``outcome``: libcurl's code, or an error.
        """
        done = self._waiters.pop(curl, None)
        if done is None:
            return
        self._multi.remove_handle(curl)
        if done.done():  # the task that waited was cancelled
            return
        if isinstance(outcome, FailedError):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)
