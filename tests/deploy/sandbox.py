"""A mount namespace that stands for a container: no root, no capability, nothing to write to.

Everything is mounted read-only but the working directory and an empty ``/tmp``. Checkout and
working directory have places of their own there, so that either may be below ``/tmp`` or in a home
directory that nobody else may enter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
USER = 10001
# Where the working directory and the checkout are inside.
STATE, CODE = Path("/mnt"), Path("/srv")
_SCRIPT = """
set -eu
mount --bind "$1" /mnt
mount --bind "$2" /srv
case $3 in
/root/*)  # a Python in a home directory that nobody else may enter
    mount --bind "$3" /media
    mount -t tmpfs -o mode=755 tmpfs /root
    mkdir -p "$3"
    mount --bind /media "$3"
    ;;
esac
mount -t tmpfs -o size=64m,mode=1777 tmpfs /tmp
awk '{print $5}' /proc/self/mountinfo | while read -r point; do
    case $point in
    /mnt | /tmp | /proc* | /sys* | /dev*) ;;
    *) mount -o remount,bind,ro "$point" 2>/dev/null || true ;;
    esac
done
cd /mnt
if touch /var/tmp/x /srv/x 2>/dev/null; then echo 'not read-only' >&2; exit 1; fi
user=$4
shift 4
exec setpriv --reuid "$user" --regid "$user" --clear-groups --bounding-set=-all --inh-caps=-all \
    --no-new-privs "$@"
"""
_TOOLS = ("unshare", "setpriv", "mount")


def permitted() -> bool:
    """Whether this machine lets such a namespace be made."""
    if not all(shutil.which(tool) for tool in _TOOLS):
        return False
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],  # noqa: S607
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


def contained(
    state: Path, command: list[str], environment: dict[str, str]
) -> tuple[list[str], dict[str, str]]:
    """A command of Python, and its environment, as they are in the container.

    Args:
        state: the working directory, which is given to the container's user.
        command: begins with this Python.
        environment: what names something in the checkout or the working directory names it there.
    """
    for one in (state, *state.rglob("*")):
        os.chown(one, USER, USER)
    state.chmod(0o700)
    inside = [_inside(state, word) for word in command]
    start = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _SCRIPT, "sh"]
    arguments = [str(state), str(ROOT), sys.base_prefix, str(USER)]
    paths = [_inside(state, environment.get("PYTHONPATH", "")), str(CODE)]
    changed = {name: _inside(state, value) for name, value in environment.items()}
    changed |= {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/nonexistent",
    }
    changed.pop("TMPDIR", None)  # there is ``/tmp``
    return [*start, *arguments, *inside], changed


def _inside(state: Path, text: str) -> str:
    """A text whose paths are those of the container."""
    return text.replace(str(state), str(STATE)).replace(str(ROOT), str(CODE))
