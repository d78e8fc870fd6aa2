"""Stores of objects: one contract, one file or folder per kind. Nothing here knows of key templates or archives."""

from .contract import Capabilities, Stat, Store, Written
from .credentials import Credentials, Provider, S3Credentials
from .errors import (
    AccessDeniedError,
    AlreadyExistsError,
    BucketNotFoundError,
    ConflictError,
    CredentialsError,
    InvalidKeyError,
    MissingExtraError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    UnknownOutcomeError,
    UnknownStoreError,
    UnsupportedError,
)
from .opening import open_store
from .options import ObjectOptions
from .presigned import expiry_of
from .probing import probe

__all__ = [
    "AccessDeniedError",
    "AlreadyExistsError",
    "BucketNotFoundError",
    "Capabilities",
    "ConflictError",
    "Credentials",
    "CredentialsError",
    "InvalidKeyError",
    "MissingExtraError",
    "NotFoundError",
    "ObjectOptions",
    "Provider",
    "S3Credentials",
    "Stat",
    "Store",
    "StoreError",
    "StoreUnavailableError",
    "UnknownOutcomeError",
    "UnknownStoreError",
    "UnsupportedError",
    "Written",
    "expiry_of",
    "open_store",
    "probe",
]
