"""The simulator, driven by google-api-python-client over Google's own discovery document."""

import io
import json
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from secrets import token_urlsafe
from urllib.parse import parse_qs, urlsplit

import google.auth.transport.requests
import requests
from google.auth.exceptions import RefreshError
from google.oauth2 import id_token
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseUpload

MAIL = "https://mail.google.com/"
asked = json.load(sys.stdin)
origin, me = asked["origin"], asked["mailbox"]


def sim(path, **body):
    requests.post(f"{origin}/sim/{path}", json=body, timeout=10).raise_for_status()


def consent():
    """The web server flow with PKCE; the simulator says yes by itself."""
    verifier, nonce = token_urlsafe(48), token_urlsafe(16)
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    back = "http://127.0.0.1:9/back"
    page = requests.get(
        f"{origin}/o/oauth2/v2/auth",
        params={
            "response_type": "code",
            "client_id": asked["clientId"],
            "redirect_uri": back,
            "scope": f"openid email {MAIL}",
            "state": "s",
            "nonce": nonce,
            "access_type": "offline",
            "prompt": "consent select_account",
            "login_hint": me,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        },
        allow_redirects=False,
        timeout=10,
    )
    query = parse_qs(urlsplit(page.headers["location"]).query)
    assert query["state"] == ["s"], query
    answer = requests.post(
        f"{origin}/token",
        data={
            "grant_type": "authorization_code",
            "code": query["code"][0],
            "redirect_uri": back,
            "client_id": asked["clientId"],
            "client_secret": asked["clientSecret"],
            "code_verifier": verifier,
        },
        timeout=10,
    ).json()
    id_token._GOOGLE_OAUTH2_CERTS_URL = f"{origin}/oauth2/v1/certs"
    transport = google.auth.transport.requests.Request()
    claims = id_token.verify_oauth2_token(answer["id_token"], transport, asked["clientId"])
    assert claims["email"] == me and claims["nonce"] == nonce, claims
    return Credentials(
        token=None,
        refresh_token=answer["refresh_token"],
        token_uri=f"{origin}/token",
        client_id=asked["clientId"],
        client_secret=asked["clientSecret"],
    )


def discovery():
    """Google's document, with the simulator for Google."""
    with open(asked["discovery"], encoding="utf-8") as file:
        document = json.load(file)
    for name in ["rootUrl", "baseUrl", "mtlsRootUrl"]:
        document[name] = f"{origin}/"
    return document


def letter(subject, size=0):
    text = f"From: {me}\r\nTo: {me}\r\nSubject: {subject}\r\n\r\n" + "x" * 70 + "\r\n"
    return (text + ("y" * 70 + "\r\n") * (size // 72)).encode()


def media(raw, **how):
    return MediaIoBaseUpload(io.BytesIO(raw), mimetype="message/rfc822", **how)


def subject_of(message):
    return next(h["value"] for h in message["payload"]["headers"] if h["name"] == "Subject")


credentials = consent()
users = build_from_document(discovery(), credentials=credentials).users()
messages = users.messages()

# The first call has no access token: the library refreshes.
profile = users.getProfile(userId="me").execute()
assert profile["emailAddress"] == me and credentials.token, profile
assert credentials.expiry is not None and not credentials.expired

# send: as JSON, as media, as multipart, and resumable in three chunks.
raw = urlsafe_b64encode(letter("json")).decode()
as_json = messages.send(userId="me", body={"raw": raw}).execute()
as_media = messages.send(userId="me", media_body=media(letter("media"))).execute()
as_multipart = messages.send(
    userId="me", body={"threadId": as_media["threadId"]}, media_body=media(letter("multipart"))
).execute()
large = letter("resumable", size=600 * 1024)
upload = messages.send(
    userId="me", body={}, media_body=media(large, resumable=True, chunksize=256 * 1024)
)
as_resumable, chunks = None, 0
while as_resumable is None:
    status, as_resumable = upload.next_chunk()
    chunks += 1
assert chunks == 3, chunks
got = messages.get(userId="me", id=as_resumable["id"], format="raw").execute()
kept = urlsafe_b64decode(got["raw"] + "==")
assert kept.endswith(large.partition(b"\r\n\r\n")[2]), "the body changed on the way"
sent = [as_json, as_media, as_multipart, as_resumable]
assert len({message["id"] for message in sent}) == 4, sent

# import and insert, by upload too; drafts: created by upload, then sent.
imported = messages.import_(userId="me", media_body=media(letter("imported")), neverMarkSpam=True).execute()
inserted = messages.insert(userId="me", media_body=media(letter("inserted"), resumable=True)).execute()
draft = users.drafts().create(userId="me", media_body=media(letter("draft"))).execute()
drafted = users.drafts().send(userId="me", body={"id": draft["id"]}).execute()
assert imported["id"] and inserted["id"] and "SENT" in drafted["labelIds"]

# batch: several calls in one request, one of which fails alone.
answers, failures = {}, {}


def answered(name, answer, error):
    (failures if error else answers)[name] = error or answer


batch = build_from_document(discovery(), credentials=credentials).new_batch_http_request(callback=answered)
for name, message in zip(["json", "media", "multipart", "resumable"], sent):
    batch.add(messages.get(userId="me", id=message["id"], format="metadata"), request_id=name)
batch.add(messages.get(userId="me", id="0000000000000000"), request_id="none")
batch.add(
    messages.modify(userId="me", id=as_json["id"], body={"addLabelIds": ["STARRED"]}), request_id="star"
)
batch.execute()
for name in ["json", "media", "multipart", "resumable"]:
    assert subject_of(answers[name]) == name, answers[name]
assert "STARRED" in answers["star"]["labelIds"], answers["star"]
assert list(failures) == ["none"] and failures["none"].resp.status == 404, failures

# history.list and messages.list, page by page as the library turns them.
since = profile["historyId"]
added, starred, pages = set(), set(), 0
request = users.history().list(userId="me", startHistoryId=since, maxResults=2)
while request is not None:
    page = request.execute()
    pages += 1
    for record in page.get("history", []):
        added |= {change["message"]["id"] for change in record.get("messagesAdded", [])}
        starred |= {change["message"]["id"] for change in record.get("labelsAdded", [])}
    request = users.history().list_next(request, page)
assert pages > 1 and as_json["id"] in starred, (pages, starred)
assert {message["id"] for message in sent} | {imported["id"], inserted["id"]} <= added, added
listed, request = set(), messages.list(userId="me", maxResults=3, q="in:anywhere")
while request is not None:
    page = request.execute()
    listed |= {message["id"] for message in page.get("messages", [])}
    request = messages.list_next(request, page)
assert {message["id"] for message in sent} <= listed

# An answer without a body, and an error as the library reads it.
assert messages.delete(userId="me", id=inserted["id"]).execute() == ""
try:
    messages.get(userId="me", id=inserted["id"]).execute()
    sys.exit("a deleted message was found")
except HttpError as error:
    assert error.status_code == 404 and error.reason == "Requested entity was not found.", error
    assert error.error_details[0]["reason"] == "notFound", error.error_details

# A 401: the library refreshes once and asks again.
before = credentials.token
sim("account", email=me, event="access-tokens-expired")
users.labels().list(userId="me").execute()
assert credentials.token != before

# The grant ends: `invalid_grant`.
sim("account", email=me, event="consent-withdrawn")
try:
    users.getProfile(userId="me").execute()
    sys.exit("a withdrawn grant worked")
except RefreshError as error:
    assert "invalid_grant" in str(error), error
