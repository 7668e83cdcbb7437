"""The names of the programs that a sandbox lets in from the machine, if it has them."""

from __future__ import annotations

from typing import Final

SHELL: Final = "sh bash dash busybox"
COREUTILS: Final = (
    "[ b2sum base32 base64 basename basenc cat chgrp chmod chown cksum comm cp csplit "
    "cut date dd dir dircolors dirname du echo env expand expr factor false fmt fold "
    "groups head hostid id install join link ln logname ls md5sum mkdir mkfifo mknod "
    "mktemp mv nice nl nohup nproc numfmt od paste pathchk pr printenv printf ptx pwd "
    "readlink realpath rm rmdir seq sha1sum sha224sum sha256sum sha384sum sha512sum "
    "shred shuf sleep sort split stat stdbuf stty sum sync tac tail tee test timeout "
    "touch tr true truncate tsort tty uname unexpand uniq unlink vdir wc whoami yes"
)
TEXT: Final = (
    "sed grep egrep fgrep awk gawk mawk find xargs diff diff3 cmp patch file which "
    "perl m4 tar gzip gunzip zcat bzip2 bunzip2 bzcat xz unxz xzcat zstd hostname"
)
BUILD: Final = (
    "make gmake pkg-config pkgconf autoconf autoheader autom4te autoreconf autoscan "
    "autoupdate ifnames automake aclocal libtool libtoolize"
)
COMPILER: Final = "gcc g++ cc c++ cpp c89 c99 gfortran gcc-ar gcc-nm gcc-ranlib gcov"
ASSEMBLER: Final = "as"
LINKER: Final = "ld ld.bfd ld.gold"
BINUTILS: Final = (
    "addr2line ar c++filt elfedit nm objcopy objdump ranlib readelf size strings strip "
    "ldd getconf locale"
)

PROGRAMS: Final = tuple(
    f"{SHELL} {COREUTILS} {TEXT} {BUILD} {COMPILER} {ASSEMBLER} {LINKER} {BINUTILS}".split()
)
ASIDE: Final = ("clang", "clang++", "ld.lld", "llvm-ar", "llvm-ranlib", "llvm-strip")
"""Let in only where there is no gcc."""
