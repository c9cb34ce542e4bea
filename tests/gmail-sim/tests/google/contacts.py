"""Contacts, read by google-api-python-client over the discovery document of the People API that it carries."""

import json
import sys

from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.errors import HttpError

asked = json.load(sys.stdin)
schemas = json.loads(get_static_doc("people", "v1"))["schemas"]
people = build(
    "people",
    "v1",
    credentials=Credentials(asked["token"]),
    client_options={"api_endpoint": asked["origin"]},
    static_discovery=True,
)
connections = people.people().connections()


def check(value, schema, where):
    """No member unknown, none of the wrong type."""
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    kind = schema["type"]
    types = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    assert type(value) is types[kind], (where, value)
    if kind == "object":
        for name, member in value.items():
            assert name in schema["properties"], f"{where}.{name}"
            check(member, schema["properties"][name], f"{where}.{name}")
    if kind == "array":
        assert value, f"{where} is empty"
        for item in value:
            check(item, schema["items"], where)
    assert value in schema.get("enum", [value]), (where, value)


def pages(**parameters):
    """The people of all pages, and the sync token."""
    found = []
    request = connections.list(
        resourceName="people/me", personFields="metadata,names,emailAddresses", pageSize=2, **parameters
    )
    while request is not None:
        answer = request.execute()
        check(answer, {"$ref": "ListConnectionsResponse"}, "answer")
        found += answer.get("connections", [])
        assert ("nextSyncToken" in answer) != ("nextPageToken" in answer), answer
        request = connections.list_next(request, answer)
    return found, answer["nextSyncToken"]


def refused(**parameters):
    try:
        connections.list(resourceName="people/me", **parameters).execute()
    except HttpError as error:
        return error
    raise AssertionError(f"not refused: {parameters}")


def display_names(found):
    return [person.get("names", [{}])[0].get("displayName") for person in found]


everybody, token = pages(requestSyncToken=True)
assert display_names(everybody) == asked["names"], everybody
assert all(person["metadata"]["sources"][0]["type"] == "CONTACT" for person in everybody)

changed, token = pages(requestSyncToken=True, syncToken=asked["before"])
assert [person["resourceName"] for person in changed] == asked["changed"], changed
survivor, merged = changed[-2:]
assert merged["metadata"]["deleted"] is True, merged
assert survivor["metadata"]["previousResourceNames"] == [merged["resourceName"]], survivor
assert pages(requestSyncToken=True, syncToken=token)[0] == []

error = refused(personFields="names", syncToken=asked["expired"])
assert error.status_code == 400, error
assert error.error_details[0]["reason"] == "EXPIRED_SYNC_TOKEN", error.error_details
error = refused(personFields="nonsense")
assert error.status_code == 400 and "personFields" in error.reason, error
