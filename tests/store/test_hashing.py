"""Keyed hashes, and the file with their key."""

from __future__ import annotations

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cds_service.errors import ConfigError
from cds_service.store.hashing import KeyedHash
from cds_service.store.store import Store
from tests.store.entries import Clock, hook

KEY = b"k" * 32


class TestHash:
    """What stands for a person."""

    def test_it_is_hmac_sha_256(self) -> None:
        """Over the kind and the parts, as JSON."""
        message = b'["patient", "st-elsewhere", "123"]'

        assert hmac.new(KEY, message, hashlib.sha256).hexdigest() == KeyedHash(KEY).of(
            "patient", "st-elsewhere", "123"
        )

    @pytest.mark.parametrize(
        ("kind", "parts"),
        [
            ("user", ("a", "bc")),
            ("patient", ("ab", "c")),
            ("patient", ("abc",)),
            ("patient", ("a", "bc", "")),
            ("patient", ('a", "bc',)),
        ],
    )
    def test_what_differs_has_another(self, kind: str, parts: tuple[str, ...]) -> None:
        """Be it in its kind, or in where its parts end."""
        hashes = KeyedHash(KEY)

        assert hashes.of("patient", "a", "bc") != hashes.of(kind, *parts)

    def test_another_key_makes_another(self) -> None:
        """Without the key nobody can try out ids."""
        assert KeyedHash(KEY).of("patient", "1") != KeyedHash(b"l" * 32).of("patient", "1")


class TestKeyFile:
    """Where the key comes from."""

    def test_it_is_made_once(self, tmp_path: Path) -> None:
        """For this user only, and the next start reads it."""
        file = tmp_path / "key"

        first = KeyedHash.from_file(file, create=True)

        assert 0o600 == file.stat().st_mode & 0o777
        assert 64 == len(file.read_text().strip())
        assert first.of("patient", "1") == KeyedHash.from_file(file).of("patient", "1")
        assert [file] == list(tmp_path.iterdir())

    def test_several_workers_make_one(self, tmp_path: Path) -> None:
        """Whoever comes first."""
        with ThreadPoolExecutor(16) as workers:
            hashes = set(
                workers.map(
                    lambda _: KeyedHash.from_file(tmp_path / "key", create=True).of("patient"),
                    range(64),
                )
            )

        assert 1 == len(hashes)
        assert [tmp_path / "key"] == list(tmp_path.iterdir())

    def test_none_is_made_unasked(self, tmp_path: Path) -> None:
        """A key that is lost must not be replaced by another unseen."""
        with pytest.raises(ConfigError, match=r"hash key file .*/key: No such file"):
            KeyedHash.from_file(tmp_path / "key")

    @pytest.mark.parametrize("mode", [0o604, 0o644, 0o660, 0o602])
    def test_one_that_others_can_read_or_write(self, tmp_path: Path, mode: int) -> None:
        """Is no secret, or may be another tomorrow."""
        file = tmp_path / "key"
        file.write_bytes(KEY)
        file.chmod(mode)

        with pytest.raises(ConfigError, match="chmod 600"):
            KeyedHash.from_file(file)

    def test_one_that_its_group_can_read(self, tmp_path: Path) -> None:
        """Is how secrets are mounted."""
        file = tmp_path / "key"
        file.write_bytes(KEY)
        file.chmod(0o440)

        assert KeyedHash(KEY).of("x") == KeyedHash.from_file(file).of("x")

    @pytest.mark.parametrize("content", [b"", b"\n", b"k" * 31, b" " * 40])
    def test_one_that_is_too_short(self, tmp_path: Path, content: bytes) -> None:
        """Could be guessed."""
        file = tmp_path / "key"
        file.write_bytes(content)
        file.chmod(0o600)

        with pytest.raises(ConfigError, match="at least 32"):
            KeyedHash.from_file(file)

    def test_beside_an_sqlite_file(self, tmp_path: Path) -> None:
        """Where nothing else is said."""
        KeyedHash.for_store(None, f"sqlite:///{tmp_path}/store.db")

        assert [tmp_path / "store.db.key"] == list(tmp_path.iterdir())

    @pytest.mark.parametrize("given", [True, False])
    async def test_none_is_made_for_a_store_that_was_used(
        self, tmp_path: Path, *, given: bool
    ) -> None:
        """Who stands in it is known by the lost key alone."""
        url = f"sqlite:///{tmp_path}/store.db"
        key = tmp_path / ("keys" if given else "store.db.key")
        path = key if given else None
        store = Store(url, now=Clock())
        await store.start()
        try:
            KeyedHash.for_store(path, url)  # what a start left, before its first hook
            key.unlink()
            KeyedHash.for_store(path, url)
            await store.write_hook(hook())
        finally:
            await store.aclose()
        lost = key.read_bytes()
        key.unlink()

        with pytest.raises(ConfigError, match="missing, and the store has records made with it"):
            KeyedHash.for_store(path, url)
        assert not key.exists()

        key.write_bytes(lost)
        key.chmod(0o600)
        KeyedHash.for_store(path, url)

    def test_shared_by_replicas(self, tmp_path: Path) -> None:
        """With PostgreSQL it must be given, and be there."""
        url = "postgresql+psycopg://cds@127.0.0.1/cds"

        with pytest.raises(ConfigError, match="CDS_HASH_KEY_FILE"):
            KeyedHash.for_store(None, url)
        with pytest.raises(ConfigError, match="No such file"):
            KeyedHash.for_store(tmp_path / "key", url)
