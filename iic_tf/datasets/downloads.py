"""Downloads of published files, and their unpacking: all of it or nothing."""

import hashlib
import http.client
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from shutil import copyfileobj, rmtree
from typing import IO

from iic_tf.datasets.published import reachable
from iic_tf.errors import UserError, first_line, naming, require

CHUNK = 1 << 20
"""Bytes that are read at a time."""

SECONDS = 30.0
"""A server that is silent for longer is given up."""

MEGABYTE = 1_000_000

UNPACKING = ".unpacking-"
"""How the folder's name begins that an archive is unpacked into at first."""

Progress = Callable[[int, int], None]
"""Takes megabytes done, and all."""


def _silent(done: int, of: int) -> None:
    return


def verify(path: Path, *, size: int | None, sha256: str | None) -> None:
    """Raises UserError if a file is not the one that was published.

    Args:
        path: The file.
        size: Its size in bytes, or None if that is not known.
        sha256: Its checksum in hexadecimal digits, likewise.
    """
    if size is not None:
        here = path.stat().st_size
        require(
            here == size,
            f"{path} is not the file that was published, which has {size:,} bytes",
            bytes=here,
        )
    if sha256 is None:
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    require(
        digest.hexdigest() == sha256,
        f"{path} is not the file that was published, whose SHA-256 sum is {sha256}",
        sha256=digest.hexdigest(),
    )


def download(
    url: str,
    path: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    progress: Progress = _silent,
) -> None:
    """Downloads a file, and goes on where an earlier attempt was broken off.

    What has come is in ``path`` with ``.part`` at its end until all of it is there and
    is what was published.

    Args:
        url: http or https address.
        path: File that is made, and folders above it.
        size: Size in bytes, or None if that is not known.
        sha256: Checksum in hexadecimal digits, likewise.
        progress: Called for each megabyte with megabytes done and all.

    Raises:
        UserError: If there is no network, no such file or another one.
        OSError: If it cannot be written, naming the file.
    """
    part = path.with_name(f"{path.name}.part")
    begun = part.stat().st_size if part.is_file() else 0
    if not reachable(url):
        raise UserError("the server does not answer")
    if size is None or begun < size:
        _fetch(url, part, begun=begun, progress=progress)
    try:
        verify(part, size=size, sha256=sha256)
    except UserError:
        part.unlink()
        raise
    part.replace(path)


def _fetch(url: str, part: Path, *, begun: int, progress: Progress) -> None:
    """Writes what a server has of a file, from the byte ``begun`` on if it can."""
    headers = {"Range": f"bytes={begun}-"} if begun else {}
    request = urllib.request.Request(url, headers=headers)
    done = of = begun
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            done = begun if answer.status == http.HTTPStatus.PARTIAL_CONTENT else 0
            of = done + int(answer.headers.get("Content-Length", 0))
            part.parent.mkdir(parents=True, exist_ok=True)
            with naming(part), part.open("ab" if done else "wb") as file:
                while piece := _read(answer, url):
                    file.write(piece)
                    done += len(piece)
                    progress(done // MEGABYTE, max(of, done) // MEGABYTE)
    except urllib.error.HTTPError as error:
        complete = error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        if not (complete and begun):
            raise UserError(f"{url}: {error.code} {error.reason}") from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        raise UserError(f"{url}: {first_line(error)}") from None
    require(
        done >= of,
        f"{url} broke off; the same command goes on from there",
        bytes=f"{done:,} of {of:,}",
    )


def _read(answer: IO[bytes], url: str) -> bytes:
    """The next piece, which may be short; an error of the network is the server's."""
    try:
        return answer.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"{url} broke off ({first_line(error)}); the same command goes on from "
            "there"
        ) from None


# --------------------------------------------------------------------------- unpacking


def _content(raw: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each regular file in an archive, zip or tar."""
    if zipfile.is_zipfile(raw):
        with zipfile.ZipFile(raw) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    with archive.open(info) as content:
                        yield info.filename, content
        return
    raw.seek(0)
    with tarfile.open(fileobj=raw, mode="r|*") as stream:
        for member in stream:
            if member.isfile() and (inside := stream.extractfile(member)):
                yield member.name, inside


_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What the libraries raise for damaged or encrypted archives."""


def unpack(
    path: Path,
    folder: Path,
    gives: Sequence[str],
    *,
    progress: Progress = _silent,
) -> None:
    """Unpacks files and folders of an archive, each all of it or not at all.

    What a killed process had unpacked into the same folder is removed first.

    Args:
        path: Zip file, or tar file, compressed or not.
        folder: Where they belong; made if need be.
        gives: Their names; those that are in ``folder`` already stay as they are. The
            others lie beside the first of them, wherever in the archive that is.
        progress: Called for each file with megabytes of the archive done and all.

    Raises:
        UserError: If the archive is damaged, or lacks one of them.
        OSError: If they cannot be written, naming the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{UNPACKING}*"):
        rmtree(left, ignore_errors=True)
    of = path.stat().st_size // MEGABYTE
    with tempfile.TemporaryDirectory(dir=folder, prefix=UNPACKING) as place:
        try:
            with path.open("rb") as raw:
                for name, content in _content(raw):
                    parts = PurePosixPath(name).parts
                    require(
                        not {"..", "/"} & set(parts),
                        f"{path} must hold names inside its folder",
                        name=name,
                    )
                    target = Path(place, *parts)
                    with naming(target):
                        target.parent.mkdir(parents=True, exist_ok=True)
                        with target.open("wb") as file:
                            copyfileobj(content, file, CHUNK)
                    progress(raw.tell() // MEGABYTE, of)
        except _DAMAGE as error:
            raise UserError(f"cannot unpack {path}: {first_line(error)}") from None
        found = sorted(Path(place).rglob(gives[0]), key=lambda x: (len(x.parts), x))
        beside = found[0].parent if found else Path(place)
        wanted = [name for name in gives if not (folder / name).exists()]
        missing = [name for name in wanted if not (beside / name).exists()]
        require(not missing, f"{path} must hold {', '.join(gives)}", missing=missing)
        for name in wanted:
            (beside / name).rename(folder / name)
