"""The program: read the settings, serve until a signal."""

import signal
import sys
import time

from pydantic import ValidationError

from sim.clock import FakeClock
from sim.config import Settings
from sim.server import start


def main() -> int:
    """Serve until SIGINT or SIGTERM; return the exit code: 2 for a wrong setting or a taken address."""
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "FINSTAGE_SIM_" + "_".join(str(part) for part in problem["loc"]).upper()
            print(f"{name}={problem['input']!r}: {problem['msg']}", file=sys.stderr)
        return 2
    host, port = settings.address
    clock = time.time if settings.start_s is None else FakeClock(settings.start_s, speed=settings.speed)
    # Every thread blocks them and sigwait takes them: a handler might not run while the main thread waits.
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        sim = start(seed=settings.seed, clock=clock, host=host, port=port)
    except OSError as error:
        print(f"FINSTAGE_SIM_LISTEN={settings.listen!r}: {error.strerror or error}", file=sys.stderr)
        return 2
    with sim:
        print(f"sim: a simulated market at {sim.url} (seed {settings.seed})", flush=True)
        signal.sigwait(signals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
