"""The transport: one GET over a pooled session, tried once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from finstage_runtime.clock import Clock
from services.ingest.upstream.outcomes import Failure, Outcome, Trouble, malformed

MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_REDIRECTS = 3

_CHUNK_BYTES = 256 * 1024
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP reply. headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """How a GET reaches the upstream. Safe to use from many threads."""

    def get(self, url: str, *, headers: Mapping[str, str], timeout_s: float) -> Reply | Failure:
        """Return the reply, within timeout_s as a whole.

        A redirect to another origin, a body over 32 MiB and a certificate that does not hold are failures.
        """
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


def within_origin(url: str, get: Callable[[str], Reply | Failure | str]) -> Reply | Failure:
    """Return what `get` brings of `url`, or of where it redirects to (a str) within the same origin."""
    for _ in range(MAX_REDIRECTS + 1):
        answer = get(url)
        if not isinstance(answer, str):
            return answer
        target = urljoin(url, answer)
        if urlsplit(target)[:2] != urlsplit(url)[:2]:
            return Failure(
                Outcome.UNAVAILABLE, f"refused a redirect to another host, {urlsplit(target).netloc}"
            )
        url = target
    return Failure(Outcome.UNAVAILABLE, f"more than {MAX_REDIRECTS} redirects")


class RequestsTransport:
    """A pooled requests.Session. It follows redirects within one origin only."""

    def __init__(self, *, clock: Clock, connections: int) -> None:
        self._clock = clock
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_connections=2, pool_maxsize=connections, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def get(self, url: str, *, headers: Mapping[str, str], timeout_s: float) -> Reply | Failure:
        until = self._clock.monotonic() + timeout_s
        try:
            return within_origin(url, lambda target: self._get_once(target, headers, until))
        except requests.exceptions.SSLError as error:
            return Failure(Outcome.UNAVAILABLE, f"the certificate was not accepted: {_cause(error)}")
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            detail = f"no whole answer within {timeout_s:.3g} s"
            return Failure(Outcome.UNAVAILABLE, detail, mendable=True, trouble=Trouble.TIMEOUT)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            return Failure(Outcome.UNAVAILABLE, f"not an address: {_cause(error)}")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            root = _root(error)
            cut = isinstance(root, ConnectionResetError | BrokenPipeError | HTTPException)
            return Failure(
                Outcome.UNAVAILABLE,
                f"the connection failed: {_cause(error)}",
                mendable=True,
                trouble=Trouble.RESET if cut else None,
            )

    def close(self) -> None:
        self._session.close()

    def _get_once(self, url: str, headers: Mapping[str, str], until: float) -> Reply | Failure | str:
        """Return the reply, or where it redirects to."""
        left_s = until - self._clock.monotonic()
        if left_s <= 0:
            raise requests.exceptions.Timeout
        with self._session.get(
            url, headers=dict(headers), timeout=left_s, stream=True, allow_redirects=False
        ) as response:
            if response.status_code in REDIRECTS and "location" in response.headers:
                return response.headers["location"]
            body = bytearray()
            # read1() returns what has come; iter_content() would wait for a whole chunk, however slow.
            while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    return malformed(f"a reply over {MAX_BODY_BYTES >> 20} MiB")
                if self._clock.monotonic() > until:
                    raise requests.exceptions.Timeout
            lower = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status_code, lower, bytes(body))


def _cause(error: BaseException) -> str:
    """The innermost reason, without the URL that the outer ones repeat."""
    root = _root(error)
    text = root.strerror if isinstance(root, OSError) and root.strerror else type(root).__name__
    return text[:200]


def _root(error: BaseException) -> BaseException:
    while error.__context__ is not None and error.__context__ is not error:
        error = error.__context__
    return error
