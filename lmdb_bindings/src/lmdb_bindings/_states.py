"""What LMDB 1.0 does with states of an environment: take the last commit back, dump what has changed, load that."""

from __future__ import annotations

import errno
import gc

from lmdb_bindings import _copies, _registry
from lmdb_bindings._engine import file_handle
from lmdb_bindings.errors import Error, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lmdb_bindings._environment import Environment


def rollback(env: Environment, txnid: int) -> None:
    """See :meth:`Environment.rollback`."""
    _replace(env, "rollback()", "mdb_env_rollback", txnid, fails_as_it_was=True)


def dump(env: Environment, fd: int, since: int) -> None:
    """See :meth:`Environment.dump_incremental`."""
    env._live()
    env._require_1_0("dump_incremental()")
    if env._remapped:
        raise Error("LMDB 1.0.2 cannot dump environments with checksums or encryption: use copy()")
    _copies.refuse_own_writer(env, "dump")
    env._call("mdb_env_incr_dumpfd", file_handle(fd), since)


def load(env: Environment, fd: int) -> None:
    """See :meth:`Environment.load_incremental`."""
    _replace(env, "load_incremental()", "mdb_env_incr_loadfd", file_handle(fd), fails_as_it_was=False)


def _replace(env: Environment, what: str, function: str, argument: int, *, fails_as_it_was: bool) -> None:
    """Let LMDB replace the state of the environment, and open it again: handles and LMDB's own view are of the old one.

    Args:
        env: the environment.
        what: the method, for messages.
        function: LMDB's.
        argument: its argument.
        fails_as_it_was: where LMDB fails, nothing has changed; else the environment is closed.
    """
    env._live()
    env._require_1_0(what)
    if env.readonly:
        raise error(f"{what} of a read-only environment", errno.EACCES)
    with env._access.turn(), env._access.alone(), _registry.lock:
        env._live()
        env._abort_spare()
        if env._snapshots:
            gc.collect()  # views may be garbage
        if env._users() or env._snapshots:
            raise Error(f"{what} while transactions, or memoryviews that they gave, are open in this process")
        rc = getattr(env._engine.lib, function)(env._handle, argument)
        if rc and fails_as_it_was:
            raise error(function, rc)
        env._end()
        if rc:
            raise error(function, rc)
        env._open()
