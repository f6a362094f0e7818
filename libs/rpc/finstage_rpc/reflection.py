"""Server reflection under both names that clients ask: grpc.reflection.v1 (first, today) and v1alpha.

grpcio-reflection serves v1alpha only. The two differ in the package's name and in nothing on the wire, so
one servicer answers both, and v1's descriptor is v1alpha's, renamed.
"""

from collections.abc import Iterable

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2  # type: ignore[import-untyped]

_OLD, _NEW = "grpc.reflection.v1alpha", "grpc.reflection.v1"
_METHOD = "ServerReflectionInfo"


def add_reflection(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Lets clients ask `server` for its services, by their full names, and their contracts."""
    _describe_v1()
    names = [f"{package}.ServerReflection" for package in (_OLD, _NEW)]
    servicer = reflection.aio.ReflectionServicer([*services, *names])
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(name, {_METHOD: handler}) for name in names]
    )


def _describe_v1() -> None:
    """Makes the descriptor of grpc.reflection.v1 known; where it is known already, this changes nothing."""
    pool = descriptor_pool.Default()
    try:
        pool.FindFileContainingSymbol(f"{_NEW}.ServerReflection")
    except KeyError:
        file = descriptor_pb2.FileDescriptorProto()
        reflection_pb2.DESCRIPTOR.CopyToProto(file)
        file.name, file.package = "grpc/reflection/v1/reflection.proto", _NEW
        file.ClearField("options")  # what other languages call it
        for message in file.message_type:
            for field in filter(lambda field: field.type_name, message.field):
                field.type_name = field.type_name.replace(f".{_OLD}.", f".{_NEW}.")
        for method in (method for service in file.service for method in service.method):
            method.input_type = method.input_type.replace(f".{_OLD}.", f".{_NEW}.")
            method.output_type = method.output_type.replace(f".{_OLD}.", f".{_NEW}.")
        pool.AddSerializedFile(file.SerializeToString())
