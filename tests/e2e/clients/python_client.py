"""Fetches a token with requests-oauth2client and calls the API with it: python_client.py TOKEN_ENDPOINT SECRET AUDIENCE URL

Prints the number of requests that the API received, and its answers.
"""

import json
import sys

import requests
from requests_oauth2client import OAuth2Client

token_endpoint, secret, audience, url = sys.argv[1:]

client = OAuth2Client(token_endpoint, client_id="bound-client", client_secret=secret, testing=True)
token = client.client_credentials(dpop=True, resource=audience)



class Counted(requests.adapters.HTTPAdapter):
    """Counts requests, also those that the package repeats with a nonce."""

    received = 0

    def send(self, *args, **kwargs):
        self.received += 1
        return super().send(*args, **kwargs)


session = requests.Session()
session.auth = token
adapter = Counted()
session.mount("http://", adapter)
answers = []
for i in range(10):
    response = session.request("POST" if i % 2 else "GET", url)
    answers.append({"status": response.status_code, "body": response.text})
print(json.dumps({"received": adapter.received, "answers": answers, "jkt": token.dpop_key.dpop_jkt}))
