"""Server reflection under both names that clients ask for: grpc.reflection.v1 (first, today) and v1alpha.

grpcio-reflection serves v1alpha only, and does not find methods. The two versions differ in the name of the
package and in nothing on the wire, so one servicer answers both, and v1's descriptor is v1alpha's, renamed.
"""

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2  # type: ignore[import-untyped]

_V1ALPHA, _V1 = "grpc.reflection.v1alpha", "grpc.reflection.v1"
_METHOD = "ServerReflectionInfo"


def add_reflection(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Let clients ask `server` for its services, by their full names, and their contracts."""
    pool = descriptor_pool.Default()
    _describe_v1(pool)
    names = [f"{package}.ServerReflection" for package in (_V1ALPHA, _V1)]
    servicer = reflection.aio.ReflectionServicer([*services, *names], _Symbols(pool))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(name, {_METHOD: handler}) for name in names]
    )


class _Symbols:
    """A descriptor pool that also finds the file of a method ("finstage.price.v1.PriceService.GetQuote")."""

    def __init__(self, pool: descriptor_pool.DescriptorPool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file


def _describe_v1(pool: descriptor_pool.DescriptorPool) -> None:
    """Add the descriptor of grpc.reflection.v1 to `pool`, unless it is there."""
    try:
        pool.FindFileContainingSymbol(f"{_V1}.ServerReflection")
    except KeyError:
        file = descriptor_pb2.FileDescriptorProto()
        reflection_pb2.DESCRIPTOR.CopyToProto(file)
        file.name, file.package = "grpc/reflection/v1/reflection.proto", _V1
        file.ClearField("options")  # its names in other languages
        for message in file.message_type:
            for field in filter(lambda field: field.type_name, message.field):
                field.type_name = field.type_name.replace(f".{_V1ALPHA}.", f".{_V1}.")
        for method in (method for service in file.service for method in service.method):
            method.input_type = method.input_type.replace(f".{_V1ALPHA}.", f".{_V1}.")
            method.output_type = method.output_type.replace(f".{_V1ALPHA}.", f".{_V1}.")
        pool.AddSerializedFile(file.SerializeToString())
