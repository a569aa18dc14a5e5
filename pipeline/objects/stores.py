"""Buckets by their URL: where credentials come from, what is tried again, how errors read.

Everything goes through obstore, Rust's ``object_store``: it tries again by itself, with growing
delays, what fails with 5xx or on the way, and it can put an object on the condition that there is
none, or that it is still the one that was seen.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import StoreError
from .profiles import ON, of_profile

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az", "abfs", "abfss")
"""Of URLs that name objects."""

INSIST_S = 10.0
"""How long a request is repeated that failed at once."""

_DENIALS = ("401 Unauthorized", "403 Forbidden", "token request")
"""What the store's client says when a listing is denied, or when it found no credentials."""

T = TypeVar("T")

_SETTINGS = {"s3": ("AWS_",), "gs": ("GOOGLE_",), "az": ("AZURE_", "AZURITE_")}
"""What the variables of a kind of store begin with."""

_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN; "
    "connection strings are not read",
}
"""The variables that do in most cases."""

_ENDPOINTS = (
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"),
    *("GOOGLE_BASE_URL", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
)

_EMULATED = "devstoreaccount1"
"""The account of Azure's emulator."""


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
    ``AWS_PROFILE``, ``AWS_ENDPOINT_URL``, ``GOOGLE_APPLICATION_CREDENTIALS``,
    ``AZURE_STORAGE_ACCOUNT_NAME`` and so on; else of files of AWS (see `profiles`); else of the
    machine's role.

    Raises
    ------
    StoreError
        When the environment has a setting that cannot be, or a profile that is not there.
    """
    begin = _SETTINGS[_kind(url)]
    settings = ((k, v) for k, v in os.environ.items() if k.startswith(begin))
    return _opened(url, frozenset(settings))


@lru_cache(maxsize=64)
def _opened(url: str, settings: frozenset[tuple[str, str]]) -> "ObjectStore":
    """Open a bucket; `settings` tells one environment from another."""
    from obstore.store import from_url  # noqa: PLC0415 - optional

    more = _more(url, dict(settings))
    try:
        return from_url(url, **more)
    except Exception as error:
        raise StoreError(
            f"{url} cannot be opened: {first_line(error)}. Check the URL and the variables of the "
            f"environment ({_CREDENTIALS[_kind(url)]})"
        ) from error


def _more(url: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """Return what a bucket is opened with that its client does not take from the environment."""
    found = of_profile(settings) if _kind(url) == "s3" else {}
    endpoints = [*(settings.get(name, "") for name in _ENDPOINTS), found.get("endpoint", "")]
    if any(endpoint.startswith("http://") for endpoint in endpoints):
        found["client_options"] = {"allow_http": True}
    emulated = settings.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in ON
    if emulated and "AZURE_STORAGE_ACCOUNT_NAME" not in settings:
        found["account_name"] = _EMULATED  # without it obstore panics when zarr prints the store
    return found


def _kind(what: object) -> str:
    """Return the kind of store that a URL, or an object, is of."""
    scheme = str(what).partition("://")[0]
    return scheme if scheme in _SETTINGS else "az"


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

    denied = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no {what}{_bucket_too(error)}") from error
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
        raise
    except exceptions.BaseError as error:
        said = str(error)
        if "404 Not Found" in said:  # of a listing
            raise FileNotFoundError(f"there is no {what}{_bucket_too(error)}") from error
        if isinstance(error, denied) or any(words in said for words in _DENIALS):
            raise PermissionError(
                f"{what}: access denied ({first_line(error)}). Check the credentials in the "
                f"environment ({_CREDENTIALS[_kind(what)]})"
            ) from error
        raise OSError(f"{what}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return what an error of the store says, without the XML that came with it."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].partition(": <?xml")[0].strip()


def _bucket_too(error: BaseException) -> str:
    """Say so if it is the bucket that is not there."""
    missing = any(code in str(error) for code in ("NoSuchBucket", "ContainerNotFound"))
    return ": the bucket does not exist" if missing else ""
