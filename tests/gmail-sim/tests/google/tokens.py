"""Tokens of the simulator, judged by google-auth as Google's guides tell an endpoint to.

https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
"""

import json
import sys

import google.auth.transport.requests
from google.auth import exceptions
from google.oauth2 import id_token
from jwt.exceptions import PyJWTError

asked = json.load(sys.stdin)
request = google.auth.transport.requests.Request()


def claims_of_push(token, certs):
    """What a push endpoint checks; raises if it is not to be accepted."""
    id_token._GOOGLE_OAUTH2_CERTS_URL = asked["origin"] + certs
    claims = id_token.verify_oauth2_token(token, request, asked["audience"])
    if claims["email"] != asked["serviceAccount"] or claims["email_verified"] is not True:
        raise exceptions.GoogleAuthError("another service account")
    return claims


# JWK set, and the X.509 certificates that the library asks for by default.
for certs in ["/oauth2/v3/certs", "/oauth2/v1/certs"]:
    for name, token in asked["good"].items():
        claims = claims_of_push(token, certs)
        assert claims["aud"] == asked["audience"], (certs, name)
    for name, token in asked["flawed"].items():
        try:
            claims_of_push(token, certs)
        except (ValueError, exceptions.GoogleAuthError, PyJWTError) as refused:
            print(f"{certs} {name}: {type(refused).__name__}: {refused}")
        else:
            sys.exit(f"{certs}: accepted although {name}")
