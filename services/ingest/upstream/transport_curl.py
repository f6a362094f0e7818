"""The transport that looks like a browser, by curl_cffi: opt-in, with an extra of its own.

Since spring 2025 the upstream refuses plain clients more often than browsers, perhaps by their TLS. The
operator decides whether to look like another client: it is never the default.
"""

from collections.abc import Mapping

from curl_cffi import requests
from curl_cffi.requests import exceptions

from finstage_runtime.clock import Clock
from services.ingest.upstream.outcomes import Failure, Outcome, Trouble, malformed
from services.ingest.upstream.transport import MAX_BODY_BYTES, REDIRECTS, Reply, within_origin

# The browser whose handshake and headers are used; curl_cffi keeps it current.
BROWSER = "chrome"


class CurlTransport:
    """Implements transport.Transport. The browser's User-Agent is sent, not ours."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._session: requests.Session[requests.Response] = requests.Session(impersonate=BROWSER)

    def get(self, url: str, *, headers: Mapping[str, str], timeout_s: float) -> Reply | Failure:
        until = self._clock.monotonic() + timeout_s
        try:
            return within_origin(url, lambda target: self._get_once(target, headers, until))
        except exceptions.Timeout:
            detail = f"no whole answer within {timeout_s:.3g} s"
            return Failure(Outcome.UNAVAILABLE, detail, mendable=True, trouble=Trouble.TIMEOUT)
        except (exceptions.SSLError, exceptions.CertificateVerifyError) as error:
            return Failure(Outcome.UNAVAILABLE, f"the certificate was not accepted: {_cause(error)}")
        except exceptions.RequestException as error:
            return Failure(Outcome.UNAVAILABLE, f"the connection failed: {_cause(error)}", mendable=True)

    def close(self) -> None:
        self._session.close()

    def _get_once(self, url: str, headers: Mapping[str, str], until: float) -> Reply | Failure | str:
        left_s = until - self._clock.monotonic()
        if left_s <= 0:
            raise exceptions.Timeout("no time left")
        ours = {name: value for name, value in headers.items() if name.lower() != "user-agent"}
        with self._session.stream(
            "GET", url, headers=ours, timeout=left_s, allow_redirects=False
        ) as response:
            location = response.headers.get("location")
            if response.status_code in REDIRECTS and location:
                return str(location)
            body = bytearray()
            for chunk in response.iter_content():  # type: ignore[no-untyped-call]
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    return malformed(f"a reply over {MAX_BODY_BYTES >> 20} MiB")
                if self._clock.monotonic() > until:
                    raise exceptions.Timeout("a slow body")
            lower = {name.lower(): value or "" for name, value in response.headers.items()}
            return Reply(response.status_code, lower, bytes(body))


def _cause(error: exceptions.RequestException) -> str:
    """The error by curl's number, without the address that its text may have."""
    return f"curl error {int(error.code)}" if error.code else type(error).__name__
