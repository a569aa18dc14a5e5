"""Credentials for S3 as the tools of AWS know them: profiles in ~/.aws, single sign-on, roles.

The client that reaches stores takes keys from the environment, or asks the role of a machine or a
pod; files it does not read. So where there are such files, and nothing in the environment goes
before them, botocore reads them, here and on each worker: keys are never sent from one process to
another, nor written anywhere.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError

if TYPE_CHECKING:
    from obstore.store import S3Credential

FRESH = timedelta(minutes=10)
"""How long credentials are good for that botocore has given: it renews them as long before their
end. The client asks for new ones when half of that is left."""

ON = frozenset({"1", "true", "on", "yes", "y"})
"""Values of a variable that is a switch, as the client reads them."""

_FILES = {"AWS_SHARED_CREDENTIALS_FILE": "credentials", "AWS_CONFIG_FILE": "config"}

_ROLES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Of the environment: the client knows them by itself."""


def of_profile(settings: Mapping[str, str]) -> dict[str, Any]:
    """Return what a store is opened with whose credentials are in files of AWS; else nothing.

    Parameters
    ----------
    settings
        The variables ``AWS_*`` of the environment.

    Raises
    ------
    StoreError
        When it takes botocore, which is not installed; when a profile that was asked for is not
        there or has no credentials.
    """
    asked_for = settings.get("AWS_PROFILE") or settings.get("AWS_DEFAULT_PROFILE")
    keys, config = (_is_there(settings, variable) for variable in _FILES)
    if "AWS_ACCESS_KEY_ID" in settings or settings.get("AWS_SKIP_SIGNATURE", "").lower() in ON:
        return {}
    if not asked_for and (any(name in settings for name in _ROLES) or not (keys or config)):
        return {}
    if find_spec("botocore") is None:
        if not (asked_for or keys):  # the file of a region, perhaps, and of nothing else
            return {}
        raise StoreError(
            f"credentials are to come from {f'the profile {asked_for!r}' if asked_for else keys}, "
            "and what reads the files of AWS is not installed: pip install boto3; or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (aws configure export-credentials "
            "--format env)"
        )
    return _read(settings, asked_for)


def _is_there(settings: Mapping[str, str], variable: str) -> Path | None:
    """Return one of the files of AWS, if there is such a file."""
    usual = f"~/.aws/{_FILES[variable]}"
    path = Path(os.path.expanduser(settings.get(variable) or usual))  # noqa: PTH111 - without a home
    return path if path.is_file() else None


def _read(settings: Mapping[str, str], asked_for: str | None) -> dict[str, Any]:
    """Read the credentials once, so that it is said now if there are none; region and endpoint."""
    from botocore.configprovider import ConfiguredEndpointProvider  # noqa: PLC0415 - optional
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - optional
    from botocore.session import Session  # noqa: PLC0415 - optional

    session = Session()
    try:
        found = session.get_credentials()
        scoped = session.get_scoped_config()
        region = session.get_config_variable("region")
        endpoint = ConfiguredEndpointProvider(session.full_config, scoped, "s3").provide()
    except BotoCoreError as error:
        raise StoreError(f"the profile {asked_for or 'default'!r} of AWS: {error}") from error
    if found is None and asked_for:
        raise StoreError(
            f"the profile {asked_for!r} of AWS has no credentials: run `aws configure --profile "
            f"{asked_for}`, or choose another by AWS_PROFILE"
        )
    given: dict[str, Any] = {} if found is None else {"credential_provider": Profile(found)}
    if region and not settings.keys() & {"AWS_REGION", "AWS_DEFAULT_REGION"}:
        given["region"] = region
    return {**given, "endpoint": endpoint} if endpoint else given


class Profile:
    """Credentials of the profile that the environment names, each time as they are now.

    Parameters
    ----------
    found
        What botocore has found there.
    """

    def __init__(self, found: Any) -> None:
        self._found = found

    def __call__(self) -> "S3Credential":
        """Return credentials; those that cannot renew themselves are read again from their file.

        Raises
        ------
        botocore.exceptions.BotoCoreError
            When there are none any more: the sign-on has ended, say.
        """
        from botocore.credentials import RefreshableCredentials  # noqa: PLC0415 - optional
        from botocore.session import Session  # noqa: PLC0415 - optional

        if not isinstance(self._found, RefreshableCredentials):
            self._found = Session().get_credentials() or self._found
        keys = self._found.get_frozen_credentials()
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": datetime.now(UTC) + FRESH,
        }
