#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds a running daemon's answers against docs/reference/openapi.yaml: openapi.py FILE SOCKET APP

Every required member is there, nothing is there that the file does not name, words of enumerations are known.
Exits 77 without PyYAML.
"""
import http.client
import json
import socket
import sys

try:
    import yaml
except ImportError:
    sys.exit(77)

problems = []


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[2])


def call(method, path, body=None):
    connection = Connection("localhost")
    connection.request(method, path, None if body is None else json.dumps(body))
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def resolve(schema):
    while "$ref" in schema:
        here = document
        for name in schema["$ref"][2:].split("/"):
            here = here[name]
        schema = here
    return schema


def check(value, schema, place):
    schema = resolve(schema)
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    kind = schema.get("type")
    if kind in kinds and (not isinstance(value, kinds[kind]) or (kind == "integer" and isinstance(value, bool))):
        problems.append(f"{place}: {value!r} is no {kind}")
    elif kind == "object":
        problems.extend(f"{place}: {name} is missing" for name in schema.get("required", []) if name not in value)
        for name, member in value.items():
            if name in schema.get("properties", {}):
                check(member, schema["properties"][name], f"{place}.{name}")
            elif "properties" in schema and not schema.get("additionalProperties"):
                problems.append(f"{place}: {name} is not in the file")
    elif kind == "array":
        for item in value:
            check(item, schema["items"], f"{place}[]")
    if "enum" in schema and value not in schema["enum"]:
        problems.append(f"{place}: {value!r} is none of {schema['enum']}")


def check_call(method, template, path, body=None, want=200):
    status, answer = call(method, path, body)
    responses = document["paths"][template][method.lower()]["responses"]
    if status != want or str(status) not in responses:
        problems.append(f"{method} {path}: status {status}: {answer}")
        return
    check(answer, resolve(responses[str(status)])["content"]["application/json"]["schema"], f"{method} {path}")


with open(sys.argv[1], encoding="utf-8") as file:
    document = yaml.safe_load(file)
app = sys.argv[3]
base = "/api/v1/apps/{app}"
for path in ["version", "status", "sources", "targets", "plugins", "apps", "events"]:
    check_call("GET", f"/api/v1/{path}", f"/api/v1/{path}")
for path in ["", "/resources", "/plan", "/why", "/history", "/tree", "/records"]:
    check_call("GET", base + path, f"/api/v1/apps/{app}{path}")
    check_call("GET", base + path, f"/api/v1/apps/nobody{path}", want=404)
check_call("GET", base + "/plan", f"/api/v1/apps/{app}/plan?refresh=true&destroy=true")
check_call("POST", base + "/sync", f"/api/v1/apps/{app}/sync", {"wait": "20s"})
check_call("POST", base + "/suspend", f"/api/v1/apps/{app}/suspend", {"for": "1h", "reason": "a test"})
check_call("POST", base + "/resume", f"/api/v1/apps/{app}/resume", {"wait": "20s"})
check_call("POST", base + "/sync", "/api/v1/apps/nobody/sync", {}, want=404)
check_call("POST", "/api/v1/reload", "/api/v1/reload")
print("\n".join(problems))
sys.exit(1 if problems else 0)
