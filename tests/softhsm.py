"""A token in software (Debian's softhsm2) in a folder of its own. Run as a script, it makes keys in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

LIBRARY = Path("/usr/lib/softhsm/libsofthsm2.so")
TOKEN, PIN, KEYS = "troth test", "583920", ("ed25519", "secp256k1", "p-256")


def make(folder: Path) -> Path:
    """A fresh token; the configuration file that SOFTHSM2_CONF must name."""
    (folder / "tokens").mkdir(parents=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n"
                             "log.level = ERROR\n")
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", TOKEN, "--so-pin", "11111111", "--pin", PIN],
                   env={"SOFTHSM2_CONF": str(configuration), "PATH": "/usr/bin:/bin"}, check=True, capture_output=True)
    return configuration


def fill() -> None:
    """Make the keys, named by their kind. The configuration is found in the environment."""
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    kinds = {"ed25519": (pkcs11.KeyType.EC_EDWARDS, "1.3.101.112", pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN),
             "secp256k1": (pkcs11.KeyType.EC, "1.3.132.0.10", pkcs11.Mechanism.EC_KEY_PAIR_GEN),
             "p-256": (pkcs11.KeyType.EC, "1.2.840.10045.3.1.7", pkcs11.Mechanism.EC_KEY_PAIR_GEN)}
    with pkcs11.lib(str(LIBRARY)).get_token(token_label=TOKEN).open(user_pin=PIN, rw=True) as session:
        for name, (kind, curve, mechanism) in kinds.items():
            parameters = session.create_domain_parameters(
                kind, {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}, local=True)
            parameters.generate_keypair(mechanism=mechanism, store=True, label=name)


if __name__ == "__main__":
    fill()
