"""The store as a bucket: S3, or a server that speaks it and honours `If-None-Match: *`.

Creating is one single-part PUT with that header and nothing between it and the wire: the SDK's own retries are off,
because a reply that was lost and a retry that was answered 412 would tell the creator that somebody else was faster.
After any doubt the writer reads the object back: its own bytes, which carry its random token, mean that it won.

The client is made at the first call, so that `trader --help` and local stores do not pay for boto3.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from trader.adapters.keys import is_key, require_key, require_page
from trader.core.errors import ConfigError, Retry

PAGE = 1000  # the most keys that S3 lists at once
MAX_KEY_BYTES = 1024
LONGEST_WORDS = 200
TRIES = 4
FIRST_PAUSE_S = 0.2
NOT_NOW = (408, 409, 412, 429)  # too slow, a conflict, already there, too fast: looking again tells

# What a person must mend, by the code that S3 gives it. Everything else may pass.
FOR_A_PERSON = {
    "NoSuchBucket": "there is no such bucket; create it, or correct the store's address",
    "AccessDenied": "access is denied; allow s3:GetObject and s3:PutObject on its objects and s3:ListBucket on the bucket",
    "AllAccessDisabled": "access is switched off for this bucket; see its account",
    "AccountProblem": "the account has a problem that its owner must solve",
    "InvalidAccessKeyId": "the access key is unknown there; correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the signature is wrong; correct AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the session token has expired; get a new one",
    "InvalidToken": "the session token is not valid; get a new one",
    "RequestTimeTooSkewed": "this machine's clock differs from the server's by more than 15 minutes; set it (NTP)",
    "PermanentRedirect": "the bucket lies in another region",
    "AuthorizationHeaderMalformed": "the bucket lies in another region",
    "IllegalLocationConstraintException": "the bucket lies in another region",
    "NotImplemented": "the server does not know this request, so it cannot create if absent; use another server",
    "KMS.DisabledException": "the bucket's encryption key is disabled; enable it",
    "InvalidBucketName": "the server refuses this bucket's name; correct the store's address",
}


class S3Store:
    """Objects of one bucket beneath a prefix, safe for many processes and threads at once.

    Credentials come from AWS's own chain (environment, profile, role). `timeout_s` is the patience with one answer;
    `_sleep` waits between tries. Every method raises ConfigError where a person must act and Retry where the server
    did not answer usefully; all of them are safe to repeat.
    """

    subject = "store"  # what messages call it

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        timeout_s: float = 15.0,
        _sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.bucket = bucket
        self._base = f"{prefix}/" if prefix else ""
        self._region = region
        self._endpoint_url = endpoint_url
        self._timeout_s = timeout_s
        self._sleep = _sleep
        self._made: Any = None

    @property
    def client(self) -> Any:
        """boto3's client, made once."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def get(self, key: str) -> bytes | None:
        """The object, or None where there is none."""
        where = self._key(key)
        found: bytes | None = self._steadily("get", where, lambda: self._read(where))
        return found

    def put(self, key: str, data: bytes) -> None:
        """Writes or overwrites; readers see the old object or the whole new one."""
        where = self._key(key)
        self._steadily("put", where, lambda: self.client.put_object(Bucket=self.bucket, Key=where, Body=data))

    def create(self, key: str, data: bytes) -> bool:
        """True if the object holds exactly these bytes because of this call or of an earlier try of the same writer
        (who puts a random token into the bytes); False if another writer's object is there. Never overwrites; safe
        to repeat after any error and after a kill."""
        where = self._key(key)
        trouble: Exception | None = None
        for n in range(TRIES):
            if n:
                self._pause(n)
            try:
                self.client.put_object(Bucket=self.bucket, Key=where, Body=data, IfNoneMatch="*")
            except Exception as error:  # foreign: sorted next, all else is raised again
                self._require_passing("create", where, error)
                trouble = error
            else:
                return True
            # Taken, or nobody knows: what is there now decides. The same bytes may be sent again if nothing is.
            there = self.get(key)
            if there is not None:
                return there == data
        raise self._given_up("create", where, trouble)

    def list(self, prefix: str, after: str = "", limit: int = PAGE) -> list[str]:
        """Keys that begin with `prefix` and sort after `after`, sorted, at most `limit`. What is no key of a store,
        such as a console's folder marks, is left out."""
        require_page(prefix, limit)
        found: list[str] = []
        last = self._base + after
        while True:
            asked: dict[str, Any] = {
                "Bucket": self.bucket,
                "Prefix": self._base + prefix,
                "MaxKeys": min(limit, PAGE),
            }
            if last:
                asked["StartAfter"] = last
            page = self._steadily("list", last, partial(self.client.list_objects_v2, **asked))
            keys = [item["Key"] for item in page.get("Contents", [])]
            found += [key for name in keys if is_key(key := name[len(self._base) :])]
            if len(found) >= limit or not page.get("IsTruncated") or not keys:
                return found[:limit]
            last = keys[-1]

    def link(self, key: str, seconds: int, content_type: str) -> str:
        """An address under which anybody can read the object for a while; signed here, nothing is asked."""
        wanted = {"Bucket": self.bucket, "Key": self._key(key), "ResponseContentType": content_type}
        try:
            address: str = self.client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=seconds)
        except Exception as error:  # foreign: sorted next, all else is raised again
            self._require_passing("link", wanted["Key"], error)
            raise self._given_up("link", wanted["Key"], error) from None
        return address

    def _read(self, where: str) -> bytes | None:
        try:
            body: bytes = self.client.get_object(Bucket=self.bucket, Key=where)["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None
        return body

    def _key(self, key: str) -> str:
        require_key(key)
        where = self._base + key
        if len(where) > MAX_KEY_BYTES:
            raise ConfigError(f"store: {where[:60]}...: the name is too long for S3; use shorter keys")
        return where

    def _steadily(self, verb: str, where: str, call: Callable[[], Any]) -> Any:
        """A call that may be repeated, a bounded number of times."""
        trouble: Exception | None = None
        for n in range(TRIES):
            if n:
                self._pause(n)
            try:
                return call()
            except Exception as error:  # foreign: sorted next, all else is raised again
                self._require_passing(verb, where, error)
                trouble = error
        raise self._given_up(verb, where, trouble)

    def _pause(self, n: int) -> None:
        """Doubling, with jitter: writers that collided shall not collide again."""
        self._sleep(FIRST_PAUSE_S * 2 ** (n - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - no secret

    def _require_passing(self, verb: str, where: str, error: Exception) -> None:
        """Returns for trouble that may pass; raises ConfigError for what a person must mend, and a bug as it is."""
        from botocore import exceptions as known
        from botocore.parsers import ResponseParserError

        passing = (
            known.HTTPClientError,
            known.ConnectionError,
            known.IncompleteReadError,
            ResponseParserError,
            known.CredentialRetrievalError,
        )
        if isinstance(error, passing):
            return
        if isinstance(error, known.ClientError):
            why = _refused(error.response)
            if why is None:
                return
        elif isinstance(error, known.NoCredentialsError | known.PartialCredentialsError):
            why = "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the host a role"
        elif isinstance(error, known.BotoCoreError):
            why = str(error)
        else:
            raise error
        raise ConfigError(f"{self.subject}: s3://{self.bucket}/{where}: {verb}: {why}") from None

    def _given_up(self, verb: str, where: str, trouble: Exception | None) -> Retry:
        return Retry(
            f"{self.subject}: s3://{self.bucket}/{where}: {verb}: no useful answer in {TRIES} tries ({_words(trouble)}); "
            f"nothing was lost, try again later"
        )

    def _make(self) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        try:
            client = boto3.session.Session().client(
                "s3",
                region_name=self._region,
                endpoint_url=self._endpoint_url,
                config=Config(
                    connect_timeout=self._timeout_s,
                    read_timeout=self._timeout_s,
                    retries={"total_max_attempts": 1, "mode": "standard"},
                    # Other servers know no bucket as a host name, and not all know the newer checksums. Bodies are
                    # signed as a whole either way.
                    s3={"addressing_style": "path" if self._endpoint_url else "auto"},
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                    max_pool_connections=16,
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"{self.subject}: s3://{self.bucket}: {error}") from None
        client.meta.events.register("before-call.s3", _follow_no_redirect)
        return client


def _follow_no_redirect(context: dict[str, Any], **_: Any) -> None:
    """The SDK would look for the bucket's region and send again, with every process anew: a person shall name it."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _words(trouble: Exception | None) -> str:
    """The code that the server gave and its own words, else what the SDK says."""
    answer = getattr(trouble, "response", None)
    if not isinstance(answer, dict):
        return str(trouble)
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    return f"{status} {answer['Error'].get('Code', '')}".rstrip() + _bracketed(answer)


def _own(answer: dict[str, Any]) -> str:
    """The server's own words on one line; "" where it has none."""
    return " ".join(str(answer["Error"].get("Message") or "").split())[:LONGEST_WORDS]


def _bracketed(answer: dict[str, Any]) -> str:
    return f" [{_own(answer)}]" if _own(answer) else ""


def _refused(answer: Any) -> str | None:
    """What a person must mend after this error answer; None where waiting may help."""
    code, status = answer["Error"].get("Code", ""), answer["ResponseMetadata"]["HTTPStatusCode"]
    if code in FOR_A_PERSON:
        headers = answer["ResponseMetadata"].get("HTTPHeaders", {})
        region = headers.get("x-amz-bucket-region") or answer["Error"].get("Region")
        hint = f": set TRADER_S3_REGION={region}" if region else ""
        return f"{FOR_A_PERSON[code]}{hint} ({status} {code}){_bracketed(answer)}"
    if status >= 500 or status in NOT_NOW or code == "RequestTimeout":
        return None
    return f"the server refuses it: {status} {code} {_own(answer)}".rstrip()
