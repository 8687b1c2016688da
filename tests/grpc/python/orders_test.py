"""The example server, called with grpcio.

ORDERS_STUBS is the folder of the generated code, and ORDERS_SERVER_BIN the server. The last lines report how
many tests passed, in the format of Node's test runner.
"""

import json
import os
import re
import subprocess
import sys
import time
import unittest
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from requests_oauth2client import ClientSecretBasic, DPoPKey, OAuth2Client

from proofs import Proofs, headers, with_nonce

sys.path.insert(0, os.environ["ORDERS_STUBS"])
import orders_pb2 as pb  # noqa: E402
import orders_pb2_grpc  # noqa: E402

TIMEOUT = 60  # seconds, so that a test which waits in vain ends

pears = [pb.PlaceRequest(item="pears", quantity=quantity) for quantity in (3, 4)]
quotes = [pb.QuoteRequest(item="pears", quantity=quantity) for quantity in (3, 4)]
METHODS = {
    "Place": (
        lambda stub, **options: [stub.Place(pears[0], **options)],
        [pb.Order(subject="bound-client", item="pears", quantity=3)],
    ),
    "Watch": (
        lambda stub, **options: list(stub.Watch(pb.WatchRequest(item="pears"), **options)),
        [pb.Stage(subject="bound-client", name=name) for name in ("accepted", "packed", "sent")],
    ),
    "PlaceAll": (
        lambda stub, **options: [stub.PlaceAll(iter(pears), **options)],
        [pb.Summary(subject="bound-client", orders=2, items=7)],
    ),
    "Quote": (
        lambda stub, **options: list(stub.Quote(iter(quotes), **options)),
        [pb.Offer(subject="bound-client", item="pears", cents=cents) for cents in (750, 1000)],
    ),
}


def path(method):
    return f"/orders.v1.Orders/{method}"


def setUpModule():
    """A real authorization server, and two servers under test."""
    global stack, authorization_server
    command = ["node", str(Path(__file__).parent.parent / "stack.mjs")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop():
        process.stdin.close()
        # It fails if a server ended by itself.
        assert process.wait(TIMEOUT) == 0, "the servers did not end well"
        process.stdout.close()

    unittest.addModuleCleanup(stop)
    line = process.stdout.readline()
    assert line, "the servers did not start"
    stack = json.loads(line)
    authorization_server = OAuth2Client.from_discovery_endpoint(
        issuer=stack["issuer"],
        auth=ClientSecretBasic(stack["client_id"], stack["client_secret"]),
        dpop_bound_access_tokens=True,
        # The issuer is on loopback, without TLS.
        testing=True,
    )


def token_for(scope):
    token = authorization_server.client_credentials(scope=scope, resource=stack["audience"])
    assert token.token_type == "DPoP" and token.scope == scope, token
    return token


class Orders:
    """The tests, once for each mode of the server."""

    def setUp(self):
        self.origin = stack["servers"][self.nonces]
        self.channel = grpc.insecure_channel(self.origin.removeprefix("http://"))
        self.addCleanup(self.channel.close)
        self.stub = orders_pb2_grpc.OrdersStub(self.channel)
        self.token = token_for("orders:write")
        self.nonce = None
        if self.nonces == "required":
            # With a good nonce in every proof, no rejection can be the nonce's doing.
            self.nonce = self.rejected("Place", self.proved("Place"), *self.NONCE_WANTED)["dpop-nonce"]

    NONCE_WANTED = (grpc.StatusCode.UNAUTHENTICATED, "use_dpop_nonce", "the proof needs a nonce")

    def proved(self, method, *, token=None, htu=None, **change):
        return headers(token or self.token, htu or self.origin + path(method), **{"nonce": self.nonce, **change})

    def call(self, method, metadata):
        call, _ = METHODS[method]
        return call(self.stub, metadata=metadata, timeout=TIMEOUT)

    def served(self, method, metadata):
        _, answers = METHODS[method]
        self.assertEqual(self.call(method, metadata), answers)

    def rejected(self, method, metadata, code, error, message):
        """The trailing metadata of a call that must be rejected, with what every rejection has."""
        with self.assertRaises(grpc.RpcError) as raised:
            self.call(method, metadata)
        status = raised.exception
        self.assertEqual((status.code(), status.details()), (code, message))
        # Response-Headers and Trailers are the same frame, which grpcio takes for the latter.
        told = dict(status.trailing_metadata())
        challenge = told["www-authenticate"]
        self.assertRegex(challenge, r'^DPoP .*algs="[^"]*\bES256\b')
        said = re.search(r'error="([^"]*)"', challenge)
        self.assertEqual(said and said[1], error)
        if error:
            self.assertIn(f'error_description="{message}"', challenge)
        self.assertEqual("dpop-nonce" in told, self.nonces == "required")
        return told

    def test_every_kind_of_method_is_served_to_a_client_that_makes_a_proof_for_each_call(self):
        channel = grpc.intercept_channel(self.channel, Proofs(self.origin, self.token))
        stub = orders_pb2_grpc.OrdersStub(channel)
        tries = 0
        for method, (call, answers) in METHODS.items():
            with self.subTest(method):

                def attempt():
                    nonlocal tries
                    tries += 1
                    return call(stub, timeout=TIMEOUT)

                self.assertEqual(with_nonce(self.token.dpop_key, attempt), answers)
        self.assertEqual(tries, 5 if self.nonces == "required" else 4)

    def test_a_proof_is_good_for_one_call(self):
        for method in METHODS:
            with self.subTest(method):
                proved = self.proved(method)
                self.served(method, proved)
                invalid_proof = (grpc.StatusCode.UNAUTHENTICATED, "invalid_dpop_proof")
                self.rejected(method, proved, *invalid_proof, "the proof was used before")

    def test_a_proof_without_a_nonce_is_told_one_with_which_the_call_is_served(self):
        for method in METHODS:
            with self.subTest(method):
                without = self.proved(method, nonce=None)
                if self.nonces == "off":
                    self.served(method, without)
                else:
                    told = self.rejected(method, without, *self.NONCE_WANTED)
                    self.served(method, self.proved(method, nonce=told["dpop-nonce"]))

    def test_a_call_without_a_good_proof_of_the_key_is_rejected(self):
        unauthenticated = grpc.StatusCode.UNAUTHENTICATED
        key = self.token.dpop_key
        earlier = DPoPKey(key.private_key, iat_generator=lambda: int(time.time()) - 3600)
        for method in METHODS:
            authorization, proof = self.proved(method)
            as_bearer = ("authorization", f"Bearer {self.token.access_token}")
            for what, metadata, error, message in (
                ("no credentials", [], None, "no access token was sent"),
                ("no proof", [authorization], "invalid_dpop_proof", "the DPoP header is missing"),
                (
                    "a bound token as a bearer token",
                    [as_bearer, proof],
                    "invalid_token",
                    "only DPoP-bound tokens with the DPoP scheme are accepted",
                ),
                (
                    "another method of the service",
                    self.proved(method, htu=self.origin + path("Other")),
                    "invalid_dpop_proof",
                    "the proof is for another URI",
                ),
                (
                    "another origin",
                    self.proved(method, htu="https://example.com" + path(method)),
                    "invalid_dpop_proof",
                    "the proof is for another URI",
                ),
                (
                    "another method of HTTP",
                    self.proved(method, htm="GET"),
                    "invalid_dpop_proof",
                    "the proof is for another method",
                ),
                (
                    "another key",
                    self.proved(method, key=DPoPKey.generate()),
                    "invalid_token",
                    "the token is bound to another key",
                ),
                (
                    "no ath",
                    self.proved(method, ath=None),
                    "invalid_dpop_proof",
                    "a required claim of the proof is missing",
                ),
                ("an old proof", self.proved(method, key=earlier), "invalid_dpop_proof", "the proof is too old"),
            ):
                with self.subTest(method, what=what):
                    self.rejected(method, metadata, unauthenticated, error, message)

    def test_a_method_that_needs_a_scope_is_denied_without_it(self):
        reader = token_for("orders:read")
        denied = (grpc.StatusCode.PERMISSION_DENIED, "insufficient_scope", "the token lacks a scope")
        for method in ("Place", "PlaceAll"):
            with self.subTest(method):
                told = self.rejected(method, self.proved(method, token=reader), *denied)
                self.assertIn('scope="orders:write"', told["www-authenticate"])
        for method in ("Watch", "Quote"):
            with self.subTest(method):
                self.served(method, self.proved(method, token=reader))

    def test_health_needs_no_token(self):
        stub = health_pb2_grpc.HealthStub(self.channel)
        request = health_pb2.HealthCheckRequest(service="orders.v1.Orders")
        answer = stub.Check(request, timeout=TIMEOUT)
        self.assertEqual(answer.status, health_pb2.HealthCheckResponse.SERVING)


class NoncesOff(Orders, unittest.TestCase):
    nonces = "off"


class NoncesRequired(Orders, unittest.TestCase):
    nonces = "required"


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    # A failed subtest fails its test; what breaks outside of tests counts as one.
    broken = {getattr(test, "test_case", test) for test, _ in result.failures + result.errors}
    unexpected = len(broken) + len(result.unexpectedSuccesses)
    skipped = len(result.skipped) + len(result.expectedFailures)
    print(f"# pass {max(result.testsRun - unexpected - skipped, 0)}\n# fail {unexpected}\n# skipped {skipped}")
    sys.exit(not result.wasSuccessful())
