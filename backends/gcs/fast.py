"""The obstore engine on Google Cloud Storage: it reads, with the credentials and the endpoint of the fsspec engine."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from keystow.backends.contract import Store
from keystow.backends.errors import StoreError
from keystow.backends.fast import Cloud, FastStore, Late, Refusal

from .client import Answer
from .store import GCSStore

_FRESH = timedelta(minutes=10)


def open_gcs(bucket: str, **options: Any) -> Store:
    """The store; it takes what ``GCSStore`` takes."""
    rest = Late(lambda: GCSStore(bucket, **options))
    plain = rest()
    client = plain.client

    def credentials() -> dict[str, Any]:
        return {"token": "" if client.emulated else client.token(), "expires_at": datetime.now(UTC) + _FRESH}

    def connect(client_options: Mapping[str, Any], retry_config: Mapping[str, Any]) -> Any:
        from obstore.store import GCSStore as ObstoreGCS

        return ObstoreGCS(
            bucket,
            config={"base_url": client.base, "skip_signature": client.emulated},
            client_options={**client_options, "allow_http": client.emulated},
            retry_config=retry_config,
            credential_provider=credentials,
        )

    def refused(refusal: Refusal, key: str, operation: str) -> StoreError:  # noqa: ARG001
        answer = Answer(int(refusal.status), {"x-guploader-uploadid": refusal.request_id}, refusal.message.encode())
        return client.refused(answer, key, uploading=refusal.code == "NoSuchBucket")

    return FastStore(Cloud(f"gs://{bucket}", plain.endpoint, connect, refused), rest)
