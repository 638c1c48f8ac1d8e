#!/usr/bin/env python3
"""Verifies an exported ledger. Shares no code with midwatch; written from RFC 6962, RFC 8032 and C2SP signed-note.

usage: verify_ledger.py EXPORT PUBLIC_KEY_FILE [WITNESS_NOTE_FILE ...]
exit code: 0 sound, 1 not sound, 2 usage
"""
import base64
import hashlib
import json
import sys

# Ed25519 (RFC 8032, section 5.1). Points are (X, Y, Z, T), extended coordinates.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(n, point):
    total = (0, 1, 1, 0)
    while n:
        if n & 1:
            total = add(total, point)
        point, n = add(point, point), n >> 1
    return total


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        raise ValueError("no point of the curve")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        raise ValueError("no point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signature_valid(key, message, signature):
    point, r, s = decompress(key), decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    digest = hashlib.sha512(signature[:32] + key + message).digest()
    left = multiply(s, BASE)
    right = add(r, multiply(int.from_bytes(digest, "little") % L, point))
    same = (left[0] * right[2] - right[0] * left[2]) % P == 0 == (left[1] * right[2] - right[1] * left[2]) % P
    return s < L and same


def read_note(text, name, key):
    """Size and root of a signed checkpoint; raises ValueError when it is not signed by the key."""
    lines = [line.strip() for line in text.strip().split("\n")]
    origin, size, root, empty = lines[:4]
    body = f"{origin}\n{size}\n{root}\n"
    key_id = hashlib.sha256(name.encode() + b"\n\x01" + key).digest()[:4]
    if origin != name or empty or str(int(size)) != size:
        raise ValueError("no checkpoint of this ledger")
    for line in lines[4:]:
        if line.startswith(f"\u2014 {name} "):
            signed = base64.b64decode(line.split(" ")[2], validate=True)
            if signed[:4] == key_id and len(signed) == 68 and signature_valid(key, body.encode(), signed[4:]):
                return int(size), base64.b64decode(root, validate=True)
    raise ValueError("no valid signature")


def main(export, key_file, *witness_files):
    name, _, encoded = open(key_file, encoding="utf-8").read().strip().split("+", 2)
    key, findings, roots, nodes = base64.b64decode(encoded)[1:], [], {}, []
    lines = open(export, "rb").read().split(b"\n")
    if lines and lines[-1] == b"":
        lines.pop()
    notes = [(file, open(file, encoding="utf-8").read()) for file in witness_files]
    try:
        notes.append(("closing checkpoint", json.loads(lines.pop())["checkpoint"]))
    except (ValueError, KeyError, IndexError, TypeError):
        findings.append("cut: the last line is no checkpoint")

    roots[0] = hashlib.sha256(b"").digest()
    for position, line in enumerate(lines):
        try:
            if json.loads(line)["sequence"] != position:
                findings.append(f"line {position + 1}: another sequence than {position}")
        except (ValueError, KeyError, TypeError):
            findings.append(f"line {position + 1}: not an entry")
        node, n = hashlib.sha256(b"\0" + line).digest(), position
        while n & 1:
            node, n = hashlib.sha256(b"\1" + nodes.pop() + node).digest(), n >> 1
        nodes.append(node)
        root = nodes[-1]
        for left in reversed(nodes[:-1]):
            root = hashlib.sha256(b"\1" + left + root).digest()
        roots[position + 1] = root

    for source, text in notes:
        try:
            size, root = read_note(text, name, key)
        except (ValueError, IndexError) as error:
            findings.append(f"{source}: {error}")
            continue
        if size not in roots:
            findings.append(f"{source}: signed over {size} entries, {len(lines)} are there")
        elif roots[size] != root:
            findings.append(f"{source}: another root at size {size}")
        elif source == "closing checkpoint" and size != len(lines):
            findings.append(f"{source}: of {size} entries, {len(lines)} are there")
    print("sound" if not findings else "NOT SOUND", len(lines), "entries")
    print("\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(main(*sys.argv[1:]))
