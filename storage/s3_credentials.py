"""The connection to object storage: credentials, endpoint, and messages for the library's errors.

Credentials are found as Amazon's own tools find them (environment, profile, role of the machine),
the endpoint in ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``. Suyan neither takes them as
parameters nor writes them to a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from core.commands import install_command
from core.errors import BucketError, TransientError
from core.language.messages import localised

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_REFUSED = {"401", "403"}
_RIGHTS = "s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket"


def endpoint() -> str:
    """The address of the object storage, for messages."""
    return _endpoint() or "Amazon S3"


def connect(name: str, prefix: str) -> Any:
    """The library's store for a bucket and a prefix; sends no request.

    Raises ``BucketError`` without the packages of the extra ``s3``, and without credentials.
    """
    try:
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider
        from obstore.store import S3Store
    except ImportError as error:
        raise BucketError(
            localised(
                "s3://{name}: the package {package} is not installed; needed for a workspace "
                "on object storage",
                name=name,
                package=error.name,
            ),
            remedy=localised("Run: {command}", command=install_command("s3")),
        ) from error
    try:
        provider = Boto3CredentialProvider()
    except (ValueError, BotoCoreError) as error:  # no credentials; no such profile
        cause = "" if isinstance(error, ValueError) else f" ({error})"
        raise BucketError(
            localised(
                "s3://{name}: found no credentials{cause}, needed those of an account with "
                "the rights {rights}",
                name=name,
                cause=cause,
                rights=_RIGHTS,
            ),
            remedy=localised(
                "Set AWS_PROFILE (aws configure makes one), or AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, in the environment"
            ),
        ) from None
    address: Mapping[str, Any] = {"endpoint": _endpoint()} if _endpoint() else {}
    return S3Store(
        name,
        prefix=prefix or None,
        credential_provider=provider,
        client_options={
            "allow_http": _endpoint().startswith("http://"),
            "connect_timeout": "5s",
            "read_timeout": "60s",
            "timeout": "6h",  # for a whole object
        },
        retry_config={"max_retries": 6},
        **address,
    )


def to_suyan_error(address: str, text: str) -> Exception:
    """The error to raise for the library's ``text``, without text that a server may have quoted."""
    code, status = _first(_CODE, text), _first(_STATUS, text)
    reason = " ".join(filter(None, (status, code))) or text.split("\n", 1)[0][:200]
    if code == "NoSuchBucket":
        return missing_bucket_error(address)
    if status in _REFUSED:
        return BucketError(
            localised(
                "{address}: {endpoint} refuses ({reason}); needed the rights {rights}",
                address=address,
                endpoint=endpoint(),
                reason=reason,
                rights=_RIGHTS,
            ),
            remedy=localised(
                "Check AWS_PROFILE or AWS_ACCESS_KEY_ID and its secret, and the bucket's policy"
            ),
        )
    if (status.startswith("5") and status != "501") or not status or status == "429":
        return TransientError(
            localised(
                "{address}: {endpoint} cannot be reached, or fails ({reason})",
                address=address,
                endpoint=endpoint(),
                reason=reason,
            ),
            remedy=localised(
                "Check the network and AWS_ENDPOINT_URL; nothing here is lost, and the same "
                "command goes on"
            ),
        )
    return BucketError(
        localised(
            "{address}: {endpoint} does not support a request ({reason}); needed S3 with "
            "conditional writes (If-None-Match, If-Match), as Amazon, MinIO, Ceph and R2 "
            "provide them",
            address=address,
            endpoint=endpoint(),
            reason=reason,
        )
    )


def missing_bucket_error(address: str) -> BucketError:
    """The error to raise when the bucket does not exist."""
    return BucketError(
        localised(
            "{address}: there is no such bucket at {endpoint}", address=address, endpoint=endpoint()
        ),
        remedy=localised(
            "Correct SUYAN_HOME or AWS_ENDPOINT_URL, or create the bucket (aws s3 mb s3://BUCKET)"
        ),
    )


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""
