"""issuer.py - an issuer of access tokens, by another implementation (PyJWT).

    if not jwt: skip("PyJWT is not installed")
    issuer = Issuer(tmp / "keys.jwks")     # kept there for the server's `keys`
    issuer.token(email="alice@example.org")
"""
import base64, json, os, time
from pathlib import Path

try:
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec
except ImportError:
    jwt = None

ISSUER = "https://id.example.org"


class Issuer:
    """A token maker; its keys go to a JWKS file."""

    def __init__(self, path):
        self.path, self.keys = Path(path), {}
        self.new("k1")

    def new(self, kid, keep=True):
        if not keep:
            self.keys = {}
        self.keys[kid] = ec.generate_private_key(ec.SECP256R1())
        self.write()

    def write(self):
        def n(v):
            return base64.urlsafe_b64encode(v.to_bytes(32, "big")).rstrip(b"=").decode()
        keys = []
        for kid, key in self.keys.items():
            p = key.public_key().public_numbers()
            keys.append({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": n(p.x), "y": n(p.y)})
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"keys": keys}))
        os.chmod(new, 0o644)
        os.replace(new, self.path)

    def token(self, kid=None, life=600, **claims):
        kid = kid or list(self.keys)[-1]
        now = int(time.time())
        c = {"iss": ISSUER, "aud": "mail", "exp": now + life, "email": "alice@example.org", "scope": "mail.send openid",
             **claims}
        return jwt.encode({k: v for k, v in c.items() if v is not None}, self.keys[kid], "ES256", headers={"kid": kid})
