"""The dns01 field of a solver: cert-manager's fields, and one for each DNS-01 provider that is installed.

Providers are found by name, so that this floor imports none of them: the modules of
`certmill.dns01.providers`, and what other distributions name in the entry point group `certmill.dns01`
(`name = "module:Schema"`). They are imported when the first Issuer is read.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, GetCoreSchemaHandler, create_model
from pydantic.alias_generators import to_snake
from pydantic_core import CoreSchema

from certmill.model.issuer import Dns01Config
from certmill.model.manifests.issuer import dns01_schema
from certmill.model.manifests.schema import Line, Schema

BUILT_IN: Final = "certmill.dns01.providers"
ENTRY_POINTS: Final = "certmill.dns01"

# In the order of cert-manager's type. None: a provider of certmill.
_CERT_MANAGER: Final[Mapping[str, type[Schema] | None]] = {
    "akamai": dns01_schema.Akamai,
    "cloudDNS": dns01_schema.CloudDns,
    "cloudflare": None,
    "route53": dns01_schema.Route53,
    "azureDNS": dns01_schema.AzureDns,
    "digitalocean": dns01_schema.DigitalOcean,
    "acmeDNS": dns01_schema.AcmeDns,
    "rfc2136": None,
    "webhook": dns01_schema.Webhook,
}


class ProviderSchema(Schema):
    """Base of a provider's schema: its fields under dns01.<field of config_type>."""

    config_type: ClassVar[type[Dns01Config]]

    @abstractmethod
    def config(self, path: str) -> Dns01Config:
        """Check the fields together, and return their values. `path` is the provider's field. Raises
        InvalidManifest."""


@cache
def providers() -> Mapping[str, type[ProviderSchema]]:
    """The installed providers by their fields in a manifest. An entry point may add a provider that
    cert-manager has and certmill has not.

    Raises ImportError, which names the entry point, if one is not a provider or has the field of another.
    """
    found: dict[str, type[ProviderSchema]] = {}
    for source, schema in _installed():
        if not (isinstance(schema, type) and issubclass(schema, ProviderSchema)):
            raise ImportError(f"{source} is not a DNS-01 provider: it must name a ProviderSchema")
        field = schema.config_type.field
        if field in found:
            raise ImportError(f"{source} has the field {field} of another DNS-01 provider: rename its field")
        found[field] = schema
    return MappingProxyType(found)


def _installed() -> Iterator[tuple[str, object]]:
    """(name for messages, the object that should be a provider's schema) of each provider."""
    package = importlib.import_module(BUILT_IN)
    for module in pkgutil.iter_modules(package.__path__):
        name = f"{BUILT_IN}.{module.name}"
        yield name, importlib.import_module(name).PROVIDER
    for entry in entry_points(group=ENTRY_POINTS):
        name = f"the entry point {entry.name} of {ENTRY_POINTS} ({entry.value})"
        try:
            loaded = entry.load()
        except (ImportError, AttributeError) as error:
            raise ImportError(f"{name} cannot be loaded: {error}") from error
        yield name, loaded


class Dns01Schema(Schema):
    """solvers[].dns01. The fields of the providers are added when its validator is built."""

    cname_strategy: Literal["", "None", "Follow"] | None = None
    nameservers: list[Line] | None = None

    @property
    def given(self) -> dict[str, Schema]:
        """The providers that are set, by the names of their fields."""
        values = {field.alias: getattr(self, name) for name, field in type(self).model_fields.items()}
        return {name: value for name, value in values.items() if name and isinstance(value, Schema)}

    @classmethod
    def complete(cls) -> type[Schema]:
        """The schema with the fields of all providers."""
        return _complete()


class _WithProviders:
    """Builds the validator of Dns01Schema with the fields of all providers."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(_complete())


Dns01 = Annotated[Dns01Schema, _WithProviders()]


@cache
def _complete() -> type[Dns01Schema]:
    schemas = {**_CERT_MANAGER, **providers()}
    fields: dict[str, Any] = {
        to_snake(name): (schema | None, Field(default=None, alias=name))
        for name, schema in schemas.items()
        if schema is not None
    }
    return create_model("Dns01Schema", __base__=Dns01Schema, **fields)
