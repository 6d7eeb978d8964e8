"""Sessions are converted by the workers of a real scheduler of Dask, one of them killed."""

from __future__ import annotations

import threading
import time

import distributed
import pytest
from dask_cluster import Cluster

from nwb_ophys import run_sessions, sessions_of
from nwb_ophys.sessions.states import read_state, state_path

# Dask warns of what its own connections do while a worker is killed.
pytestmark = pytest.mark.filterwarnings("default")
_PATIENCE = 120


def test_the_sessions_of_a_killed_worker_go_to_another_one(lab, tmp_path):
    folder = tmp_path / "cluster"
    folder.mkdir()
    cluster = Cluster(folder)
    sessions = sessions_of(lab)
    killed: list[int] = []

    def kill_the_worker_of_the_first_session() -> None:
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and not killed:
            for session in sessions:
                state = read_state(state_path(session), session.key)
                for worker in cluster.workers:
                    if state.state == "running" and state.process == str(worker.pid):
                        worker.kill()
                        killed.append(worker.pid)
                        return
            time.sleep(0.001)

    watch = threading.Thread(target=kill_the_worker_of_the_first_session)
    watch.start()
    try:
        with distributed.Client(cluster.address, set_as_default=False) as client:
            result = run_sessions(sessions, client)
    finally:
        watch.join()
        cluster.close()
    assert killed
    assert result.exit_code == 0, [state.reason for state in result.failed]
    written = {state.output for state in result.states}
    assert len(written) == len(sessions)
    again = run_sessions(sessions)
    assert again.states == result.states
