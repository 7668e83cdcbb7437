"""Places where locks hold, and places where they do not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.store import StoreUnavailable, open_layers, open_store
from fromager.store.mounts import Mount, Trust, mount_of, parse_mounts, read_mounts
from fromager.store.probing import locks_work

MOUNTINFO = b"""\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 27 0:30 / /mnt/with\\040blank rw - nfs4 server:/export rw,vers=4.2
31 27 0:31 / /mnt/hidden rw - nfs4 server:/export rw
32 31 0:32 / /mnt/hidden rw master:2 propagate_from:1 - tmpfs none rw
33 27 0:33 / /mnt/\\303\\274 rw - fuse.sshfs me@host:/ rw,user_id=0
nonsense
34 27 0:34 / /broken rw - 
"""


def kind_at(place: str, content: bytes = MOUNTINFO) -> str | None:
    mount = mount_of(Path(place), parse_mounts(content))
    return None if mount is None else mount.kind


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/", "ext4"),
        ("/mnt", "ext4"),
        ("/mnt/with blank", "nfs4"),
        ("/mnt/with blank/not/there", "nfs4"),
        ("/mnt/with blanks", "ext4"),
        ("/mnt/hidden/x", "tmpfs"),
        ("/mnt/ü", "fuse.sshfs"),
        ("/process", "ext4"),
        ("/proc/1", "proc"),
    ],
)
def test_a_place_lies_on_the_mount_that_is_seen_there(place: str, kind: str) -> None:
    assert kind_at(place) == kind


def test_nothing_is_known_where_nothing_is_said() -> None:
    assert kind_at("/anywhere", b"") is None


@given(st.binary(max_size=300))
def test_any_text_is_read(content: bytes) -> None:
    for mount in parse_mounts(content + b"\n" + MOUNTINFO):
        assert isinstance(mount.trust, Trust)


@pytest.mark.parametrize(
    ("kind", "options", "trust"),
    [
        *((kind, "", Trust.LOCAL) for kind in ["ext4", "xfs", "btrfs", "zfs", "tmpfs"]),
        *((kind, "", Trust.LOCAL) for kind in ["overlay", "f2fs", "bcachefs"]),
        *(
            (kind, "", Trust.NETWORK)
            for kind in ["nfs", "nfs4", "cifs", "smb3", "9p", "afs"]
        ),
        *((kind, "", Trust.NETWORK) for kind in ["lustre", "gfs2", "ocfs2", "ceph"]),
        *((f"fuse.{k}", "", Trust.NETWORK) for k in ["sshfs", "glusterfs", "rclone"]),
        ("fuse.s3fs", "", Trust.NETWORK),
        ("lustre", "flock", Trust.LOCAL),
        ("lustre", "localflock", Trust.NETWORK),
        ("fuse.fuse-overlayfs", "", Trust.UNKNOWN),
        ("fuse.mergerfs", "", Trust.UNKNOWN),
        ("virtiofs", "", Trust.UNKNOWN),
        ("newfs", "", Trust.UNKNOWN),
    ],
)
def test_file_systems_are_known(kind: str, options: str, trust: Trust) -> None:
    assert Mount("/", kind, "source", frozenset({options})).trust is trust


def mounted(kind: str, place: Path, options: str = "rw") -> bytes:
    root = b"1 0 0:1 / / rw - ext4 /dev/disk rw\n"
    return root + f"2 1 0:2 / {place} rw - {kind} server:/x {options}\n".encode()


def test_no_store_is_made_where_locks_cannot_be_relied_upon(tmp_path: Path) -> None:
    content = mounted("nfs4", tmp_path)

    with pytest.raises(StoreUnavailable, match=r"nfs4.*server:/x") as caught:
        open_store(tmp_path / "new" / "store", mounts=lambda: content)

    assert "read-only" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_came_to_lie_on_a_network_is_read_only(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store, store.transaction() as transaction:
        info = transaction.add_bytes(b"content", "name")
    content = mounted("cifs", tmp_path)

    with pytest.raises(StoreUnavailable, match="cifs"):
        open_store(tmp_path / "store", mounts=lambda: content)
    with open_store(tmp_path / "store", create=False, mounts=lambda: content) as store:
        assert store.read_file(info.path) == b"content"
        with pytest.raises(StoreUnavailable, match="cifs"):
            store.scratch("x")


def test_a_store_on_a_network_may_lie_beneath_another(tmp_path: Path) -> None:
    with open_store(tmp_path / "far") as store, store.transaction() as transaction:
        info = transaction.add_bytes(b"content", "name")
    content = mounted("nfs", tmp_path / "far")

    with open_layers(
        tmp_path / "near", [tmp_path / "far"], mounts=lambda: content
    ) as store:
        assert store.read_file(info.path) == b"content"


def test_a_link_to_a_network_is_followed(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    content = mounted("9p", tmp_path / "far")

    with pytest.raises(StoreUnavailable, match="9p"):
        open_store(tmp_path / "near" / "store", mounts=lambda: content)


def test_an_unknown_file_system_is_tried(tmp_path: Path) -> None:
    content = mounted("fuse.unheard-of", tmp_path)

    with open_store(tmp_path / "store", mounts=lambda: content) as store:
        assert store.objects() == ()
    # The trial leaves nothing.
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert [path.name for path in (tmp_path / "store").iterdir()] == [".fromager"]


def test_where_nothing_can_be_tried_locks_do_not_work() -> None:
    assert not locks_work(Path("/proc"), "probe-")


def test_this_machine_is_known(tmp_path: Path) -> None:
    mount = mount_of(Path(os.path.realpath(tmp_path)), parse_mounts(read_mounts()))

    assert mount is not None
    assert mount.trust is not Trust.NETWORK


MOUNTED = """
import ctypes, os, sys
from pathlib import Path
sys.path[:0] = {path!r}
from fromager.store import open_store
base = Path({base!r})
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_REC_PRIVATE = 0x20000, 0x44000
def must(code):
    if code != 0:
        print("cannot:", os.strerror(ctypes.get_errno()))
        raise SystemExit
must(libc.unshare(CLONE_NEWNS))
must(libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None))
must(libc.mount(b"none", os.fsencode(base / "m"), b"tmpfs", 0, None))
for name in ("lower", "upper", "work", "merged"):
    (base / "m" / name).mkdir()
options = ",".join(f"{{n}}dir={{base}}/m/{{n}}" for n in ("lower", "upper", "work"))
must(libc.mount(b"none", os.fsencode(base / "m/merged"), b"overlay", 0,
                options.encode()))
for place in ("m/store", "m/merged/store"):
    with open_store(base / place) as store, store.transaction() as transaction:
        transaction.add_bytes(b"content", "name")
print("done")
"""


def test_memory_and_overlays_hold_stores(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount file systems")
    (tmp_path / "m").mkdir()
    code = MOUNTED.format(path=sys.path, base=str(tmp_path))

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    if done.stdout.startswith("cannot:"):
        pytest.skip(done.stdout)
    assert (done.stdout, done.stderr) == ("done\n", "")
