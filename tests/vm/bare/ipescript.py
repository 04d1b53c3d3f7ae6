# SPDX-License-Identifier: LGPL-2.1-or-later
"""What ipe-policy foretells about the kernel, as one file that the guest plays: writes to files below
/sys/kernel/security/ipe, each with the errno that must come back, and reads of what they must hold then.

An entry is the line `write|read PATH ERRNO SIZE NAME` and SIZE bytes."""

import errno
import json
import re
from concurrent.futures import ThreadPoolExecutor

import guestfiles as build

CORPUS = build.TOP / "tests/ipe-policy/data/corpus"
ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"f": b"\f", b"b": b"\b", b"0": b"\0", b"\\": b"\\"}
HEADER = b"policy_name=a policy_version=1.0.0\n"
DENY = b"DEFAULT action=DENY\n"
KEYS = {"RSA-2048": "RSA:2048", "RSA-3072": "RSA:3072", "RSA-4096": "RSA:4096", "P-256": "EC:P-256", "P-384": "EC:P-384"}
POLICY_PURPOSE = "2.25.255368040224791522053380220605198328293.1.4"
SIGNED_MAX = 65535  # the kernel's ASN.1 decoder takes no more


def ipe_policy(*arguments, accept=(0,)):
    return build.run(build.programs().parents[1] / "bin/ipe-policy", *arguments, accept=accept)


def sign(text, *options, key="policy"):
    return build.run("openssl", "smime", "-sign", "-binary", "-outform", "der", *(options or ("-noattr", "-nodetach", "-nosmimecap")),
                     "-signer", build.KEYS / f"{key}.pem", "-inkey", build.KEYS / f"{key}.key", stdin=text)


def entry(kind, path, error, data, name):
    number = getattr(errno, error) if error else 0
    return b"%s %s %d %d %s\n" % (kind.encode(), path, number, len(data), name.encode()) + data


def loaded_and_deleted(policy_name, version, signed, name):
    at = b"policies/" + policy_name
    return (entry("write", b"new_policy", None, signed, name) + entry("read", at + b"/name", None, policy_name, name) +
            entry("read", at + b"/version", None, version.encode(), name) + entry("write", at + b"/delete", None, b"1", name))


def expand(text):
    """The bytes that a corpus line stands for."""
    text = text.encode()

    def one(match):
        word = match[0]
        if word in (b"$H", b"$D"):
            return HEADER if word == b"$H" else DENY
        return bytes([int(word[2:], 16)]) if word[1:2] == b"x" else ESCAPES[word[1:2]]

    return re.sub(rb"\$[HD]|\\x[0-9a-f]{2}|\\.", one, text, flags=re.DOTALL)


def corpus_case(line):
    verdict, name, text = line.split("\t")
    text = expand(text)
    if not verdict[0].isdigit():
        return entry("write", b"new_policy", verdict, sign(text), name)
    policy_name = re.search(rb"policy_name=([^ \t]+)", text)[1]
    return loaded_and_deleted(policy_name, verdict, sign(text), name)


def corpus():
    lines = [line for line in CORPUS.read_text().splitlines() if line and not line.startswith("#")]
    with ThreadPoolExecutor() as pool:
        return b"".join(pool.map(corpus_case, lines))


def bad_signatures():
    text = HEADER + DENY
    good = sign(text)
    cases = [
        ("garbage", "EBADMSG", b"\x7f" * 100), ("a text without signature", "EBADMSG", text),
        ("a signature cut short", "EBADMSG", good[:-1]), ("a signature cut in half", "EBADMSG", good[:len(good) // 2]),
        ("a signature over another text", "EKEYREJECTED", good.replace(b"DENY", b"DENT")),
        ("a signature by a foreign key", "ENOKEY", sign(text, key="foreign")),
        ("attributes with S/MIME capabilities", "EKEYREJECTED", sign(text, "-nodetach")),
        ("a detached signature", "EKEYREJECTED", sign(text, "-noattr")),
    ]
    return b"".join(entry("write", b"new_policy", error, data, name) for name, error, data in cases)


def padded(size):
    """A policy with a comment that makes its signed form as long as that."""
    text = HEADER + DENY + b"#"
    text += b"x" * (size - len(sign(text + b"x" * (size - 4096))) + size - 4096)
    signed = sign(text)
    if len(signed) != size:
        raise RuntimeError(f"a signed policy of {size} bytes expected, found {len(signed)}")
    return signed


def sizes():
    return (loaded_and_deleted(b"a", "1.0.0", padded(SIGNED_MAX), f"{SIGNED_MAX} bytes") +
            entry("write", b"new_policy", "EMSGSIZE", padded(SIGNED_MAX + 1), f"{SIGNED_MAX + 1} bytes"))


def make_keys(work):
    """A key of every kind that ipe-policy signs with; returns their certificates, for db."""
    for name, kind in KEYS.items():
        algorithm, _, size = kind.partition(":")
        new = ["rsa:" + size] if algorithm == "RSA" else ["ec", "-pkeyopt", f"ec_paramgen_curve:{size}"]
        build.run("openssl", "req", "-x509", "-newkey", *new, "-nodes", "-subj", f"/CN=Test {name}", "-days", "7000", "-addext",
                  f"extendedKeyUsage=critical,{POLICY_PURPOSE}", "-keyout", work / f"{name}.key", "-out", work / f"{name}.pem")
    return [work / f"{name}.pem" for name in KEYS]


def key_kinds(work):
    """What ipe-policy signs, the kernel loads."""
    text = work / "kinds.ipe"
    text.write_bytes(HEADER + DENY)
    script = b""
    for name in KEYS:
        out = work / f"{name}.p7b"
        ipe_policy("sign", text, f"--key={work / name}.key", f"--certificate={work / name}.pem", "-o", out)
        script += loaded_and_deleted(b"a", "1.0.0", out.read_bytes(), f"signed by ipe-policy with {name}")
    return script


def upgrades(work):
    """The answers that ipe-policy simulate-upgrade foretells."""
    def allow(name, version):
        return f"policy_name={name} policy_version={version}\nDEFAULT action=ALLOW\n"

    texts = [allow("up", "0.2.0"), allow("up", "0.3.0"), allow("up", "0.3.0"), allow("up", "0.1.0"), allow("other", "0.1.0"),
             allow("other", "0.1.0"), allow("other", "0.2.9"), allow("bad", "0.x.0"), allow("worse", "0.9"), allow("a/b", "0.9.0"),
             allow("equal", "0.3.0"), allow("other", "0.4.0")]
    files = [work / f"upgrade-{i}.ipe" for i in range(len(texts))]
    for file, text in zip(files, texts):
        file.write_text(text)
    script = b""
    for step in json.loads(ipe_policy("simulate-upgrade", "--json=short", *files, accept=(0, 1))):
        data = b"1" if step["file"].endswith("/active") else sign(build.Path(step["policy"]).read_bytes())
        script += entry("write", step["file"].encode(), step.get("errno"), data, f"upgrade: {step['policy'][-14:]} to {step['file']}")
    script += entry("write", b"policies/none/active", "ENOENT", b"1", "a policy that is not loaded")
    script += entry("write", b"policies/up/update", "EINVAL", sign(allow("third", "0.9.0").encode()), "an update of another name")
    return script + entry("write", b"policies/other/delete", "EPERM", b"1", "deletion of the active policy")


def named_policy(work, root_hash):
    """A policy whose denials the kernel's records must name as ipe-policy does."""
    text = work / "named.ipe"
    text.write_text("policy_name=holdfast_named policy_version=1.0.0\nDEFAULT action=DENY\nDEFAULT op=KMODULE action=DENY\n"
                    f"op=EXECUTE dmverity_signature=FALSE dmverity_roothash=sha256:{root_hash} action=DENY\n"
                    "op=EXECUTE dmverity_signature=TRUE action=ALLOW\n")
    return text


def check_names(suite, records, policy, root_hash):
    for name, *options in (("op=EXECUTE", f"--dmverity-roothash=sha256:{root_hash}"), ("DEFAULT op=KMODULE", "--op=KMODULE")):
        rule = json.loads(ipe_policy("eval", policy, "--json=short", *options, accept=(0, 1)))[0]["rule"]
        suite.check(f"IPE: ipe-policy and the kernel's record name the rule {name}", name in rule and f"rule={rule}" in records, rule)


def make(work):
    """The script, as the file that the guest plays."""
    (work / "script").write_bytes(corpus() + bad_signatures() + sizes() + key_kinds(work) + upgrades(work))
    return work / "script"
