"""Cases spread over a Dask cluster: an adapter of a few lines, for sites that have one.

What must hold: a scheduler runs whatever it is sent, so only an encrypted and authenticated address (``tls://``) or this
machine's own is accepted; no voxels travel, only file names and records; a bounded number of cases is handed out at once.
Every worker must see the files, the model and the store under the same absolute paths.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from adelecli.errors import CaseError, ConfigError
from adelecli.pipeline.execution import note_failure
from adelecli.pipeline.workers import Answer, treat_case

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from adelecli.pipeline.session import Job
    from adelecli.volumes.cases import Case

AHEAD = 4
"""Cases handed out for each worker of the cluster: a case takes seconds, a message milliseconds."""


def check_address(address: str) -> str:
    """The ``address`` of a scheduler, if it is one that may be used (see the module); ConfigError otherwise.

    >>> check_address("tcp://127.0.0.1:8786")
    'tcp://127.0.0.1:8786'
    """
    parts = urlsplit(address if "//" in address else f"tcp://{address}")
    if parts.scheme not in {"tls", "tcp"} or not parts.hostname:
        raise ConfigError(f"`scheduler` is {address!r}, not an address", remedy="write it as tls://HOST:PORT")
    if parts.scheme == "tcp" and not _is_loopback(parts.hostname):
        fact = f"`scheduler` {address} is neither encrypted nor on this machine, and whoever reaches it runs code"
        raise ConfigError(fact, remedy="use a tls:// scheduler")
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def run_on_cluster(cases: Iterable[Case], job: Job, address: str) -> Generator[Answer, None, None]:
    """Treat ``cases`` on the cluster at ``address``; yields answers as they come.

    Raises ConfigError without Dask, or when the scheduler cannot be reached; errors of the whole run as they are.
    """
    distributed = _load(address)
    try:
        client = distributed.Client(address, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise ConfigError(f"`scheduler` {address} cannot be reached ({error})", remedy="check the address") from error
    with client:
        waiting = iter([_make_absolute(case) for case in cases])
        named: dict[str, Case] = {}

        def submit(case: Case) -> Any:
            future = client.submit(treat_case, job, case, pure=False)
            named[future.key] = case
            return future

        window = AHEAD * max(1, len(client.nthreads()))
        # with its loop: it would look for a default client, which this one is not, so that a caller's own stays his
        running = distributed.as_completed([submit(case) for case in islice(waiting, window)], loop=client.loop)
        for future in running:
            case = named.pop(future.key)
            try:
                yield future.result()
            except distributed.KilledWorker as error:
                fact = f"every worker that took it was lost ({error})"
                yield Answer(note_failure(case.id, CaseError(fact, path=case.images[0])), {}, None)
            following = next(waiting, None)
            if following is not None:
                running.add(submit(following))


def _load(address: str) -> Any:
    check_address(address)
    try:
        import distributed
    except ModuleNotFoundError:
        raise ConfigError(
            "`scheduler` needs Dask, which is not installed", remedy="pip install 'adele[dask]'"
        ) from None
    return distributed


def _make_absolute(case: Case) -> Case:
    mask = case.mask.absolute() if case.mask is not None else None
    return replace(case, images=tuple(path.absolute() for path in case.images), mask=mask)
