"""Buckets by their URL: where credentials come from, what is tried again, how errors read.

Everything goes through obstore, Rust's ``object_store``: it tries again by itself, with growing
delays, what fails with 5xx or on the way, and it can put an object on the condition that there is
none, or that it is still the one that was seen.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import StoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az", "abfs", "abfss")
"""Of URLs that name objects."""

INSIST_S = 10.0
"""How long a request is repeated that failed at once."""

T = TypeVar("T")

_SETTINGS = ("AWS_", "GOOGLE_", "AZURE_")


def is_object_url(text: str) -> bool:
    """Whether a text is the URL of an object, or of a folder of objects."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme in SCHEMES


def check_installed(url: str) -> None:
    """Refuse a URL that cannot be reached from here.

    Raises
    ------
    StoreError
        When obstore is not installed.
    """
    if find_spec("obstore") is None:
        raise StoreError(
            f"{url} is in an object store, and the package that reaches it is not installed: "
            "pip install 'manyfit[objects]'"
        )


def store_of(url: str) -> "ObjectStore":
    """Return the store of a bucket such as ``s3://name``, one a process and environment.

    If the URL goes on, encoded, keys of the store go on from there.

    Credentials, region and endpoint are those of the environment: ``AWS_ACCESS_KEY_ID``,
    ``AWS_ENDPOINT_URL``, ``GOOGLE_APPLICATION_CREDENTIALS``, ``AZURE_STORAGE_ACCOUNT_NAME`` and so
    on, else of the machine's role.

    Raises
    ------
    StoreError
        When the environment has a setting that cannot be.
    """
    settings = ((k, v) for k, v in os.environ.items() if k.startswith(_SETTINGS))
    return _opened(url, frozenset(settings))


@lru_cache(maxsize=64)
def _opened(url: str, settings: frozenset[tuple[str, str]]) -> "ObjectStore":
    """Open a bucket; `settings` tells one environment from another."""
    from obstore.store import from_url  # noqa: PLC0415 - optional

    endpoint = dict(settings).get("AWS_ENDPOINT_URL", "")
    more: Any = {"client_options": {"allow_http": True}} if endpoint.startswith("http://") else {}
    try:
        return from_url(url, **more)
    except Exception as error:
        raise StoreError(
            f"{url} cannot be opened: {first_line(error)}. Check the URL and the variables "
            f"{', '.join(f'{s}*' for s in _SETTINGS)} of the environment"
        ) from error


def asked(what: object, request: Callable[[], T]) -> T:
    """Return what a store answers to a request; raise what goes wrong as files do.

    The store's client repeats by itself what is safe to repeat, without knowing that everything is
    that we ask for: of what we put conditionally we can see afterwards whether it was us. So what
    failed soon, as when a connection broke, is repeated for `INSIST_S`.

    Raises
    ------
    FileNotFoundError
        When there is no such object, or no such bucket.
    PermissionError
        When the credentials do not do.
    OSError
        When the store fails, again and again, or cannot be reached.
    AlreadyExistsError, PreconditionError
        Of obstore: when a condition does not hold.
    """
    ends, wait_s = monotonic() + INSIST_S, 0.1
    while True:
        try:
            with _as_of_files(what):
                return request()
        except (FileNotFoundError, PermissionError):
            raise
        except OSError:
            if monotonic() + wait_s > ends:
                raise
        sleep(wait_s)
        wait_s *= 2


@contextmanager
def _as_of_files(what: object) -> Iterator[None]:
    """Raise what goes wrong with an object as the exceptions that files raise."""
    from obstore import exceptions  # noqa: PLC0415 - optional

    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no {what}{_bucket_too(error)}") from error
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
        raise
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise PermissionError(
            f"{what}: access denied ({first_line(error)}). Check the credentials in the environment"
        ) from error
    except exceptions.BaseError as error:
        if "404 Not Found" in str(error):  # of a listing
            raise FileNotFoundError(f"there is no {what}{_bucket_too(error)}") from error
        raise OSError(f"{what}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return what an error of the store says, without the XML that came with it."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].partition(": <?xml")[0].strip()


def _bucket_too(error: BaseException) -> str:
    """Say so if it is the bucket that is not there."""
    return ": the bucket does not exist" if "NoSuchBucket" in str(error) else ""
