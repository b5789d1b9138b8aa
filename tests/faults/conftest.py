"""What the fault tests share: a run that nobody disturbed, and an eye on what bad input reaches."""

import fcntl
import json
import sys
import time

import processes
import pytest
import smoke


@pytest.fixture(scope="module")
def no_code_is_run():
    """No input may reach a shell, another program, a pickle's classes or the network: Python itself reports each."""
    watching = [True]
    forbidden = {"os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect", "pickle.find_class"}

    def hook(event, arguments):
        if watching[0] and event in forbidden:
            raise AssertionError(f"{event}{arguments}")

    sys.addaudithook(hook)
    yield
    watching[0] = False


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """(folder, digests, seconds) of a run that nobody disturbed, one for all processes of the test run; to be copied, never changed."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if shared.name.startswith("popen-") else shared
    with open(shared / "undisturbed.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told, folder = shared / "undisturbed.json", shared / "undisturbed"
        if not told.exists():
            processes.project(folder)
            started = time.monotonic()
            smoke.snakemake(folder)
            told.write_text(json.dumps([smoke.digests(folder), time.monotonic() - started]))
        return folder, *json.loads(told.read_text())
