"""Claims, keys and caches for tests: made up, but signed for good."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer._crypto_signer import CryptoSigner

from fromager.derivations import (
    Belief,
    Cache,
    EnvelopeSigner,
    KeyVerifier,
    Kind,
    PublicKey,
    Puller,
    Pusher,
    ResolvedDerivation,
    Trust,
    TrustedKey,
    build_steps,
    encode,
    find_offer,
)
from fromager.derivations.realising.events import unheard
from fromager.derivations.sharing.envelope import (
    Envelope,
    Signature,
    dump_envelope,
    signed_bytes,
)
from fromager.derivations.sharing.folder_place import FolderPlace
from fromager.derivations.sharing.keyring import Keyring
from fromager.derivations.sharing.statement import (
    PAYLOAD_TYPE,
    Statement,
    builder_id,
    dump_statement,
)
from fromager.store import Digest, Realisation, StorePath, blob_digest, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from fromager.derivations import Pushed
    from fromager.derivations.derivation import Value
    from fromager.store import LocalStore

TODAY: Final = date(2026, 12, 1)


@dataclass(frozen=True)
class Builder:
    """Somebody with a key."""

    name: str
    secret: Ed25519PrivateKey

    @property
    def key(self) -> PublicKey:
        """What others see of the key."""
        return PublicKey.ed25519(self.name, self.secret.public_key().public_bytes_raw())

    def sign(self, payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
        """An envelope of this builder, as JSON."""
        value = self.secret.sign(signed_bytes(payload_type, payload))
        signature = Signature(self.key.keyid, value)
        return dump_envelope(Envelope(payload_type, payload, (signature,)))

    def claim(self, realisation: Realisation, builder: str | None = None) -> bytes:
        """A signed claim of this builder, or one that says that it is another's."""
        said = builder_id(builder or self.name)
        return self.sign(dump_statement(Statement(said, realisation)))


@cache
def builder(name: str) -> Builder:
    """The builder of a name; the same key every time."""
    seed = blob_digest(name.encode()).raw
    return Builder(name, Ed25519PrivateKey.from_private_bytes(seed))


def trust(*names: str, threshold: int = 1) -> Trust:
    """Trust in these builders."""
    keys = tuple(TrustedKey(builder(name).key) for name in names)
    return Trust(keys, threshold)


def belief(*names: str, threshold: int = 1) -> Belief:
    """Belief in what these builders say."""
    return Belief(trust(*names, threshold=threshold), KeyVerifier(), TODAY)


def digest(text: str) -> Digest:
    """A digest that stands for something."""
    return blob_digest(text.encode())


def realisation(key: str = "key", gives: str = "output", **more: object) -> Realisation:
    """A realisation of a wheel that nobody built."""
    output = digest(gives)
    made = Realisation(
        key=digest(key),
        derivation=StorePath.of(digest(f"drv of {key}"), "demo-1.0-wheel.drv"),
        kind="wheel",
        subject="demo==1.0",
        output=StorePath.of(output, "demo-1.0-wheel"),
        output_digest=output,
        level="full",
        started=1_790_000_000,
        duration=1.5,
        inputs=(("environment", digest("env")), ("source", digest("src"))),
        facts=(("raw_sha256", "ab" * 32), ("sha256", "cd" * 32)),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def claims(
    builders: Iterable[str], key: str = "key", gives: str = "output"
) -> list[bytes]:
    """What each of these builders claims of a key."""
    return [builder(name).claim(realisation(key, gives)) for name in builders]


def build(
    store: LocalStore,
    subject: str = "demo==1.0",
    files: Mapping[str, bytes] | None = None,
    *,
    kind: Kind = Kind.WHEEL,
    inputs: Mapping[str, Realisation] | None = None,
    answer: Realisation | None = None,
    options: tuple[tuple[str, Value], ...] = (),
    started: int = 1_790_000_000,
    **facts: str,
) -> Realisation:
    """Have a store hold a build of these files, as if it had been done there."""
    given = dict(sorted((inputs or {}).items()))
    resolved = ResolvedDerivation(
        kind,
        subject,
        "test/1",
        tuple((role, each.output_digest) for role, each in given.items()),
        options,
    )
    name = subject.replace("==", "-")
    with store.transaction() as transaction:
        builder = transaction.build_tree(f"{name}-{kind.value}")
        for path, content in (files or {"file": subject.encode()}).items():
            builder.file(path, io.BytesIO(content), executable=path.endswith(".sh"))
        output = builder.add()
        drv = transaction.add_bytes(
            encode(resolved),
            f"{name}-{kind.value}.drv",
        )
        made = Realisation(
            key=resolved.key,
            derivation=drv.path,
            kind=kind.value,
            subject=subject,
            output=output.path,
            output_digest=output.digest,
            started=started,
            inputs=(
                *((("answer 0", answer.key),) if answer is not None else ()),
                *((role, each.key) for role, each in given.items()),
            ),
            facts=tuple(sorted(facts.items())),
        )
        transaction.register(made)
    return made


def pusher(store: LocalStore, cache: Cache, name: str = "farm") -> Pusher:
    """What brings closures to a cache in the name of a builder."""
    who = builder(name)
    signer = EnvelopeSigner(who.key, CryptoSigner(who.secret))
    return Pusher(
        store, cache, lambda: signer, who.key.builder, lambda: 1_790_000_100.0
    )


def share(
    store: LocalStore, cache: Cache, *roots: Realisation, name: str = "farm"
) -> Pushed:
    """Bring the closures of these to a cache."""
    return pusher(store, cache, name).push(roots, build_steps(store, roots))


def folder_cache(folder: Path) -> Cache:
    """The cache in a folder, as somebody who knows nothing of it yet."""
    return Cache(FolderPlace(folder))


def push_one(folder: Path, number: int) -> None:
    """In a process of its own, which has to find this function: build something in a
    store, and push it to a cache, both below a folder."""
    with open_store(folder / f"store{number}") as store:
        made = build(store, f"demo{number}==1", {"a": b"%d" % number, "b": b"shared"})
        share(store, folder_cache(folder / "cache"), made)


def take(
    store: LocalStore, cache: Cache, text: str = "demo", *names: str
) -> Realisation:
    """Pull what is meant by a text, believing these builders (or `farm`)."""
    found = find_offer([cache], text)
    assert found is not None, f"{text} is not offered"
    puller = Puller(store, [cache], belief(*(names or ("farm",))), unheard)
    (pulled,) = puller.pull([found])
    return pulled


def pusher_of(home: Path, store: LocalStore, cache: Cache) -> Pusher:
    """What brings closures to a cache, with the key in somebody's home."""
    signing = Keyring(home / ".config" / "fromager").signing_key(None)
    (secret,) = home.rglob(f"{signing.public.name}.pem")
    key = replace(signing, signer=f"file2:{secret}")
    signer = EnvelopeSigner.open(key)
    return Pusher(store, cache, lambda: signer, key.public.builder, time.time)


def impostor(store: LocalStore, cache: Cache, name: str, victim: str) -> Pusher:
    """Somebody who signs with a key of their own, and says to be another builder."""
    liar = replace(builder(name).key, name=victim)
    signer = EnvelopeSigner(liar, CryptoSigner(builder(name).secret))
    return Pusher(store, cache, lambda: signer, liar.builder, time.time)
