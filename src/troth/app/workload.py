"""Claims from a job of continuous integration: a key for one job, bound by the job's identity token.

No workspace is needed, and no secret is kept: the key is made, signs once, and is gone. What comes out is a parcel that
a workspace takes in (``troth ci take-in``), anchors and bundles. Sources of tokens: GitHub Actions' own endpoint, or
a command such as ``kubectl create token NAME --audience {audience}``.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlparse

from troth.core.claims import Evidence, Ref, Statement, Subject
from troth.core.errors import Misuse, OutsideFailed, Refuted
from troth.identity.signers import Ed25519Signer, attest
from troth.identity.tokens import MAX_TOKEN, audience_of, binds, claims_unchecked, in_force
from troth.ledger.exchange import Parcel
from troth.store.cid import Cid
from troth.store.unixfs import PROFILE
from troth.verify.workload import TOKEN

Tokens = Callable[[str], bytes]
"""Gives a token for an audience."""
PATIENCE = 30.0
GITHUB_URL, GITHUB_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"


def attest_as_workload(kind: str, subjects: Sequence[Subject], body: Mapping[str, Any], tokens: Tokens, now: int, *,
                       refs: Iterable[Ref] = ()) -> Parcel:
    """A parcel with one claim, signed by a fresh key, and the token that binds that key as its public evidence.

    Raises Refuted where the token that came is for another key or time, OutsideFailed where none came.
    """
    signer = Ed25519Signer(os.urandom(32))
    token = tokens(audience_of(signer.did)).strip()
    said = claims_unchecked(token)
    in_force(said, now)
    if not binds(said, signer.did, None):
        raise Refuted("the token that came does not bind this job's key", expected=audience_of(signer.did),
                      do="Its issuer must let the job choose the audience.")
    cid = str(Cid.of(token))
    evidence = Evidence(TOKEN, cid, PROFILE.name, False)
    envelope = attest(Statement(kind, signer.did, now, tuple(subjects), body, tuple(refs), (evidence,)), signer)
    return Parcel(claims=(envelope,), blocks={cid: token})


def github_tokens(environment: Mapping[str, str]) -> Tokens:
    """GitHub Actions' endpoint, from the job's environment. Raises Misuse outside such a job."""
    url, secret = environment.get(GITHUB_URL), environment.get(GITHUB_TOKEN)
    if not url or not secret:
        raise Misuse("no identity token can be asked for here", expected=f"{GITHUB_URL} and {GITHUB_TOKEN}",
                     do="Give the job 'permissions: id-token: write', or use --token-command.")
    parts = urlparse(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1")):
        raise Misuse("tokens are asked for over https alone", actual=f"{parts.scheme}://{parts.hostname}")

    def ask(audience: str) -> bytes:
        """The token for this audience, as the service answers."""
        # Imported here: only a job that asks needs the client.
        import http.client
        import urllib.request

        joined = f"{url}{'&' if parts.query else '?'}audience={quote(audience, safe='')}"
        request = urllib.request.Request(joined, headers={  # noqa: S310  (its scheme was checked above)
            "Authorization": f"Bearer {secret}", "Accept": "application/json; api-version=2.0"})
        try:
            opener = urllib.request.build_opener(_staying())
            with opener.open(request, timeout=PATIENCE) as answer:
                value = json.loads(answer.read(4 * MAX_TOKEN))["value"]
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
            # The error's own text may quote the address or the answer.
            raise OutsideFailed("no identity token came", actual=type(error).__name__) from None
        if type(value) is not str:
            raise OutsideFailed("no identity token came", actual=type(value).__name__)
        return value.encode()
    return ask


def command_tokens(command: str) -> Tokens:
    """A command that prints a token; ``{audience}`` in it is replaced. It is not run by a shell. Raises Misuse."""
    words = shlex.split(command)
    if not any("{audience}" in word for word in words):
        raise Misuse("the command must say which audience", expected="{audience} in it")

    def ask(audience: str) -> bytes:
        """The token for this audience, as the command prints it."""
        asked = [word.replace("{audience}", audience) for word in words]
        try:
            done = subprocess.run(asked, capture_output=True, timeout=PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OutsideFailed("the token command did not run", actual=type(error).__name__) from None
        if done.returncode != 0 or not done.stdout:
            raise OutsideFailed("the token command gave no token", actual=f"exit status {done.returncode}")
        return done.stdout
    return ask


def _staying() -> Any:
    # Imported here for the same reason as above.
    import urllib.request

    class Staying(urllib.request.HTTPRedirectHandler):
        """A redirected request would carry the job's secret elsewhere."""

        def redirect_request(self, *_: Any) -> None:
            return None

    return Staying()
