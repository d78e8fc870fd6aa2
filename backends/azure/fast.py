"""The obstore engine on Azure Blob Storage: it reads, with the credentials and the endpoint of the fsspec engine.

obstore follows redirects. It takes the ``Authorization`` off for another host; but a SAS stands in the URL, and goes
there as the ``Referer``. So what a SAS opens is left to the fsspec engine.
"""

from collections.abc import Mapping
from typing import Any

from keystow.backends.contract import Store
from keystow.backends.errors import StoreError
from keystow.backends.fast import Cloud, FastStore, Late, Refusal

from .store import AzureStore


def open_azure(container: str, **options: Any) -> Store:
    """The store; it takes what ``AzureStore`` takes."""
    rest = Late(lambda: AzureStore(container, **options))
    plain = rest()
    client = plain.client
    if client.account.by not in {"key", "token"}:
        return plain

    def connect(client_options: Mapping[str, Any], retry_config: Mapping[str, Any]) -> Any:
        from obstore.store import AzureStore as ObstoreAzure

        return ObstoreAzure(
            container,
            config={"account_name": client.account_name, "endpoint": plain.endpoint, "skip_signature": False},
            client_options={**client_options, "allow_http": plain.endpoint.startswith("http://")},
            retry_config=retry_config,
            credential_provider=lambda: client.secret,
        )

    def refused(refusal: Refusal, key: str, operation: str) -> StoreError:  # noqa: ARG001
        said = refusal.code or refusal.message
        return client.refused(refusal.status, refusal.code, said, refusal.request_id, key)

    return FastStore(Cloud(f"az://{container}", plain.endpoint, connect, refused), rest)
