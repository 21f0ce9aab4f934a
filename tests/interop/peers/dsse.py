"""Checks an envelope and its statement: ``dsse.py ENVELOPE KEY``; makes one: ``dsse.py --sign PAYLOAD OUT``."""

import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey


def read(envelope: Path, key: Path) -> None:
    found = Envelope.from_dict(json.loads(envelope.read_text()))
    public = load_pem_public_key(key.read_bytes())
    keys = [SSlibKey.from_crypto(public, keyid=keyid) for keyid in found.signatures]
    accepted = found.verify(keys, 1)
    statement = json_format.ParseDict(json.loads(found.payload), statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    print(json.dumps({"accepted": list(accepted), "type": statement.predicate_type,
                      "subjects": [dict(one.digest) for one in statement.subject]}))


def write(payload: Path, out: Path) -> None:
    signer = CryptoSigner.generate_ecdsa()
    envelope = Envelope(payload.read_bytes(), "application/vnd.in-toto+json", {})
    envelope.sign(signer)
    out.write_text(json.dumps(envelope.to_dict()))
    print(json.dumps({"key": signer.public_key.keyval["public"]}))


write(Path(sys.argv[2]), Path(sys.argv[3])) if sys.argv[1] == "--sign" else read(Path(sys.argv[1]), Path(sys.argv[2]))
