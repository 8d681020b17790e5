#!/usr/bin/env python3
"""token_vectors.py - makes token_vectors.h: keys and tokens by another implementation.

Good tokens come from PyJWT; the bad ones are what it refuses to make, so they are put
together by hand with its keys.  Run by hand when a row is added:

    python3 tests/auth/token_vectors.py > tests/auth/token_vectors.h
"""
import base64, hashlib, hmac, json
import jwt
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, ed448, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NOW = 1800000000
GOOD = {"iss": "https://id.example.org", "aud": "mail", "exp": NOW + 600, "nbf": NOW - 10,
        "email": "alice@example.org", "email_verified": True, "sub": "4711", "scope": "openid mail.send"}

def b64(b):
    return base64.urlsafe_b64encode(b).rstrip(b"=").decode()

def pem(k):
    return k.public_key().public_bytes(ser.Encoding.PEM, ser.PublicFormat.SubjectPublicKeyInfo).decode()

def jwk(k, **more):
    if isinstance(k, rsa.RSAPrivateKey):
        j = json.loads(RSAAlgorithm.to_jwk(k.public_key()))
    elif isinstance(k, ec.EllipticCurvePrivateKey):
        n = k.public_key().public_numbers()
        size = (k.curve.key_size + 7) // 8
        j = {"kty": "EC", "crv": {256: "P-256", 384: "P-384", 521: "P-521"}[k.curve.key_size],
             "x": b64(n.x.to_bytes(size, "big")), "y": b64(n.y.to_bytes(size, "big"))}
    else:
        j = json.loads(OKPAlgorithm.to_jwk(k.public_key()))
    j.pop("key_ops", None)
    j.update(more)
    return j

def claims(**change):
    c = {**GOOD, **change}
    return {k: v for k, v in c.items() if v is not None}

R = rsa.generate_private_key(65537, 2048)
R2 = rsa.generate_private_key(65537, 2048)
P256, P384, P521 = (ec.generate_private_key(c()) for c in (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1))
K1 = ec.generate_private_key(ec.SECP256K1())
ED, ED4 = ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()
WEAK = rsa.generate_private_key(65537, 1024)

def token(c=None, key=R, alg="RS256", **headers):
    return jwt.encode(claims() if c is None else c, key, alg, headers=headers)

def by_hand(header, payload, sign):
    h = header if isinstance(header, bytes) else json.dumps(header).encode()
    p = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    text = f"{b64(h)}.{b64(p)}"
    return text + "." + b64(sign(text.encode()))

def rs256(text, key=R):
    a = RSAAlgorithm(RSAAlgorithm.SHA256)
    return a.sign(text, key)

def hs256(secret):
    return lambda text: hmac.new(secret, text, hashlib.sha256).digest()

out = []
def define(name, text):
    out.append(f"static const char {name}[] =")
    lines = text.splitlines(keepends=True) if "\n" in text else [text[i:i + 76] for i in range(0, len(text), 76)]
    for l in lines:
        out.append('    "' + l.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"')
    out[-1] += ";"

define("pem_rsa", pem(R))
define("pem_p256", pem(P256))
define("pem_k1", pem(K1))
define("pem_weak", pem(WEAK))
define("pem_private", P256.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption()).decode())
define("jwks", json.dumps({"keys": [
    jwk(R, kid="r1", use="sig"), jwk(R2, kid="r2", alg="RS256"),
    jwk(P256, kid="p256"), jwk(P384, kid="p384", key_ops=["verify"]), jwk(P521, kid="p521"),
    jwk(ED, kid="ed", alg="EdDSA"), jwk(ED4, kid="ed448"),
    {"kty": "oct", "kid": "secret", "k": b64(b"0123456789abcdef0123456789abcdef")},
    {"kty": "RSA", "kid": "enc", "use": "enc", "n": jwk(R)["n"], "e": "AQAB"},
    {"kty": "EC", "kid": "k1", "crv": "secp256k1", "x": b64(bytes(32)), "y": b64(bytes(32))},
    {"kty": "EC", "kid": "off", "crv": "P-256", "x": b64(bytes(31) + b"\1"), "y": b64(bytes(31) + b"\1")}]}))
define("jwks_private", json.dumps({"keys": [dict(jwk(P256), d=b64(bytes(32)))]}))
define("jwks_twice", '{"keys":[],"keys":[]}')

GOODS = [(alg, token(key=k, alg=alg, kid=kid)) for alg, k, kid in (
    ("RS256", R, "r1"), ("RS384", R, "r1"), ("RS512", R, "r1"), ("PS256", R, "r1"), ("PS384", R, "r1"),
    ("PS512", R, "r1"), ("ES256", P256, "p256"), ("ES384", P384, "p384"), ("ES512", P521, "p521"),
    ("EdDSA", ED, "ed"), ("EdDSA", ED4, "ed448"))]
GOODS += [
    ("no kid", token()), ("at+jwt", token(kid="r1", typ="at+jwt")),
    ("application/at+jwt", token(kid="r1", typ="application/AT+JWT")),
    ("aud is a list", token(claims(aud=["web", "mail"]))),
    ("scope is a list", token(claims(scope=None, scp=["mail.send"]))),
    ("exp within the leeway", token(claims(exp=NOW - 59))), ("nbf within the leeway", token(claims(nbf=NOW + 60))),
    ("exp with a fraction", token(claims(exp=NOW + 1.5))),
    ("an address without email_verified", token(claims(email_verified=None))),
    ("8 KB", token(claims(filler="x" * 6000)))]

pub = pem(R).encode()
BAD = [
    ("ALG", "alg none", by_hand({"alg": "none", "typ": "JWT"}, GOOD, lambda t: b"")),
    ("ALG", "alg NoNe", by_hand({"alg": "NoNe"}, GOOD, lambda t: b"")),
    ("ALG", "HS256 with the PEM of the RSA key", by_hand({"alg": "HS256", "typ": "JWT"}, GOOD, hs256(pub))),
    ("ALG", "HS256 with the secret of an oct key", by_hand({"alg": "HS256", "kid": "secret"}, GOOD,
                                                           hs256(b"0123456789abcdef0123456789abcdef"))),
    ("ALG", "no alg at all", by_hand({"typ": "JWT"}, GOOD, lambda t: b"")),
    ("ALLOWED", "RS512, which is not allowed", token(alg="RS512")),
    ("KEY_TYPE", "ES256 in the header, signed with RSA", by_hand({"alg": "ES256"}, GOOD, rs256)),
    ("KEY_ALG", "PS256 with a key that is for RS256", token(key=R2, alg="PS256", kid="r2")),
    ("KID", "the kid of another key", token(kid="r2")),
    ("KID", "a kid that is a path", token(kid="../../../../dev/null")),
    ("KID", "a kid with a quote for a database", token(kid="r1' OR '1'='1")),
    ("KID", "a kid that is no string", by_hand({"alg": "RS256", "kid": ["r1"]}, GOOD, rs256)),
    ("SIGNATURE", "signed with somebody else's key", token(key=rsa.generate_private_key(65537, 2048))),
    ("SIGNATURE", "its own key in jwk", by_hand({"alg": "ES256", "jwk": jwk(K := ec.generate_private_key(ec.SECP256R1()))},
        GOOD, lambda t: ECAlgorithm(ECAlgorithm.SHA256).sign(t, K))),
    ("SIGNATURE", "a payload that was changed", (lambda t: t[0] + "." + b64(json.dumps(
        claims(email="bob@example.org")).encode()) + "." + t[2])(token().split("."))),
    ("SIGNATURE", "ECDSA in DER", by_hand({"alg": "ES256"}, GOOD, lambda t: P256.sign(t, ec.ECDSA(__import__(
        "cryptography.hazmat.primitives.hashes", fromlist=["x"]).SHA256())))),
    ("SIGNATURE", "ECDSA of zeros (CVE-2022-21449)", by_hand({"alg": "ES256"}, GOOD, lambda t: bytes(64))),
    ("CRIT", "crit", token(crit=["exp"])),
    ("CRIT", "crit of nothing", token(crit=[])),
    ("CRIT", "b64 false", by_hand({"alg": "RS256", "b64": False}, GOOD, rs256)),
    ("TYP", "an ID token's sibling: logout+jwt", token(typ="logout+jwt")),
    ("TYP", "typ is no string", by_hand({"alg": "RS256", "typ": 1}, GOOD, rs256)),
    ("DUPLICATE", "the claim twice", by_hand({"alg": "RS256"}, json.dumps(GOOD)[:-1].encode() +
                                             b', "email": "bob@example.org"}', rs256)),
    ("DUPLICATE", "alg twice", by_hand(b'{"alg":"none","alg":"RS256"}', GOOD, rs256)),
    ("PARTS", "four parts", token() + ".AAAA"),
    ("BASE64", "padding", token() + "=="),
    ("SIZE", "13 KB", by_hand({"alg": "RS256", "x": "h" * 2900}, claims(filler="x" * 6300), rs256)),
    ("ISS", "another issuer", token(claims(iss="https://evil.example"))),
    ("ISS", "an issuer that begins alike", token(claims(iss="https://id.example.org.evil.example"))),
    ("ISS", "no issuer", token(claims(iss=None))),
    ("AUD", "another audience", token(claims(aud="web"))),
    ("AUD", "a list without us", token(claims(aud=["web", "mailer"]))),
    ("AUD", "no audience", token(claims(aud=None))),
    ("HAS_EXP", "no exp", token(claims(exp=None))),
    ("EXP", "expired", token(claims(exp=NOW - 61))),
    ("EXP", "expired in 1970", token(claims(exp=0))),
    ("NBF", "not good yet", token(claims(nbf=NOW + 61))),
    ("NBF", "nbf is no number", by_hand({"alg": "RS256"}, claims(nbf="soon"), rs256)),
    ("SCOPE", "without the scope", token(claims(scope="openid mail.sender"))),
    ("SCOPE", "no scope at all", token(claims(scope=None))),
    ("USER", "without the claim", token(claims(email=None))),
    ("USER", "the claim is a list", token(claims(email=["alice@example.org"]))),
    ("USER", "the claim is empty", token(claims(email=""))),
    ("USER", "the claim has a line end", token(claims(email="alice@example.org\nbob"))),
    ("VERIFIED", "an address nobody verified", token(claims(email_verified=False))),
    ("VERIFIED", "the same in words", token(claims(email_verified="false"))),
]
# Refused whatever is broken: they cannot be read at all.
SHAPELESS = [
    ("", ), (".", ), ("..", ), ("...", ), ("a.b.c", ), ("ya29.opaque-token", ), (token().rsplit(".", 1)[0], ),
    (token().rsplit(".", 1)[0] + ".", ), (by_hand(b"[]", GOOD, rs256), ), (by_hand({"alg": "RS256"}, b"[]", rs256), ),
    (by_hand({"alg": "RS256"}, b'"alice"', rs256), ), (by_hand({"alg": "RS256"}, b"{}{}", rs256), ),
    (by_hand({"alg": "RS256"}, b"[" * 3000, rs256), ),
    (by_hand({"alg": "RS256"}, claims(exp="never"), rs256), ), (by_hand({"alg": "RS256"}, claims(exp=True), rs256), ),
    (by_hand({"alg": "RS256"}, claims(exp=-1), rs256), ), (by_hand({"alg": "RS256"}, claims(exp=1e300), rs256), ),
    (by_hand({"alg": "RS256"}, b'{"email":"a\\u0000b"}', rs256), ),
]

def rows(name, columns, values):
    out.append(f"static const struct {{\n    const char *{', *'.join(columns)};\n}} {name}[] = {{")
    for v in values:
        *head, t = v
        out.append("    {" + "".join(f'"{h}", ' for h in head))
        cut = [t[i:i + 76] for i in range(0, len(t), 76)] or [""]
        out.extend(f'     "{c}"' for c in cut)
        out[-1] += "},"
    out.append("};")

print("/* Made by token_vectors.py with PyJWT %s.  clang-format off */" % jwt.__version__)
print("enum { VECTORS_NOW = %d };" % NOW)
rows("good", ["what", "token"], GOODS)
rows("bad", ["what", "token"], [(w, t) for _, w, t in BAD])
out.append("static const enum sp_token_rule bad_rule[] = {")
out.extend(f"    SP_TR_{r}," for r, _, _ in BAD)
out.append("};")
rows("shapeless", ["token"], SHAPELESS)
print("\n".join(out))
