"""WebSocket APIs with boto3, of any version from 1.26 on: what backends and their set-up scripts call. The server's address comes
in BRUME_ENDPOINT; keys and region come in the usual variables. Exits with 0 if every step was right."""
import base64
import json
import os
import socket
import struct
from urllib.parse import urlparse

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["BRUME_ENDPOINT"]


def client(service, path=""):
    return boto3.client(service, endpoint_url=ENDPOINT + path, config=Config(retries={"max_attempts": 1}))


def same(got, want):
    assert got == want, f"got {got}, want {want}"


def refused(code, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return e.response["Error"]["Message"]
    raise AssertionError(f"{call} was allowed")


class WebSocket:
    """As much of a client as short messages need."""

    def __init__(self, host, path):
        at = urlparse(ENDPOINT)
        self.socket = socket.create_connection((at.hostname, at.port), timeout=30)
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                             f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n").encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        while self.file.readline().strip():
            pass

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        assert len(data) < 126
        self.socket.sendall(struct.pack("!BB", 0x81, 0x80 | len(data)) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def receive(self):
        """The opcode and the payload of the next frame."""
        first, length = self.file.read(2)
        if length == 126:
            length, = struct.unpack("!H", self.file.read(2))
        return first & 15, self.file.read(length)


api = client("apigatewayv2")
chat = api.create_api(Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="${request.body.action}")
same(urlparse(chat["ApiEndpoint"]).scheme, "ws")
id, host = chat["ApiId"], urlparse(chat["ApiEndpoint"]).netloc
refused("BadRequestException", api.create_api, Name="x", ProtocolType="WEBSOCKET")
refused("BadRequestException", api.create_route, ApiId=id, RouteKey="$other")

model = api.create_model(ApiId=id, Name="Say", ContentType="application/json", Schema=json.dumps({"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}))
assert "$inputRoot.text" in api.get_model_template(ApiId=id, ModelId=model["ModelId"])["Value"]
mock = api.create_integration(ApiId=id, IntegrationType="MOCK", RequestTemplates={"$default": '{"statusCode": 200}'})["IntegrationId"]
api.create_integration_response(ApiId=id, IntegrationId=mock, IntegrationResponseKey="$default",
                                ResponseTemplates={"$default": '{"me": "$context.connectionId", "route": "$context.routeKey"}'})
route = api.create_route(ApiId=id, RouteKey="say", Target="integrations/" + mock, RouteResponseSelectionExpression="$default",
                         ModelSelectionExpression="$default", RequestModels={"$default": "Say"})["RouteId"]
api.create_route_response(ApiId=id, RouteId=route, RouteResponseKey="$default")
same([r["RouteResponseKey"] for r in api.get_route_responses(ApiId=id, RouteId=route)["Items"]], ["$default"])
api.create_stage(ApiId=id, StageName="dev", StageVariables={"a": "b"})
same(WebSocket(host, "/dev").status, 403)  # nothing is deployed yet
api.create_deployment(ApiId=id, StageName="dev")

ws = WebSocket(host, "/dev")
same(ws.status, 101)
ws.send('{"action": "say", "text": "hi"}')
opcode, data = ws.receive()
got = json.loads(data)
same((opcode, got["route"]), (1, "say"))
me = got["me"]
for text, message in {'{"action": "say"}': "Invalid request body", '{"action": "none"}': "Forbidden", "no JSON": "Forbidden"}.items():
    ws.send(text)
    frame = json.loads(ws.receive()[1])
    same((frame["message"], frame["connectionId"]), (message, me))

connections = client("apigatewaymanagementapi", f"/_aws/execute-api/{id}/dev")
connections.post_to_connection(ConnectionId=me, Data=b"from the backend")
same(ws.receive(), (1, b"from the backend"))
connections.post_to_connection(ConnectionId=me, Data="as text \u00e4")
same(ws.receive(), (1, "as text \u00e4".encode()))
same(connections.get_connection(ConnectionId=me)["Identity"]["SourceIp"], "127.0.0.1")
refused("PayloadTooLargeException", connections.post_to_connection, ConnectionId=me, Data=b"x" * (128 * 1024 + 1))
connections.delete_connection(ConnectionId=me)
same(ws.receive()[0], 8)
for call in (connections.get_connection, connections.delete_connection):
    refused("GoneException", call, ConnectionId=me)
try:
    connections.post_to_connection(ConnectionId=me, Data=b"x")
    raise AssertionError("a closed connection was posted to")
except connections.exceptions.GoneException as e:
    same(e.response["ResponseMetadata"]["HTTPStatusCode"], 410)
refused("ForbiddenException", client("apigatewaymanagementapi", f"/_aws/execute-api/{id}/prod").get_connection, ConnectionId=me)

api.delete_api(ApiId=id)
same(WebSocket(host, "/dev").status, 403)
print("boto3", boto3.__version__)
