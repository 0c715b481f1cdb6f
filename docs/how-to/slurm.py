"""Run a scenario on a Slurm cluster: `python slurm.py mset_2023/fig5 --scale paper --out runs/fig5 --store /scratch/me/store`.

Start it where it may stay (a login node under tmux, or a job of its own): it asks Slurm for workers through dask-jobqueue, runs
`benchsuite run` on them, and gives them back. All paths must be on a disk that the nodes share.
"""

import subprocess
import sys

from dask_jobqueue import SLURMCluster

JOBS = 4  # Slurm jobs
TASKS = 16  # tasks at once in a job, each on a core of its own

if __name__ == "__main__":
    with SLURMCluster(
        queue="cpu",
        account="my_project",
        walltime="04:00:00",
        cores=TASKS,
        processes=TASKS,  # so each has one thread
        memory="64GB",  # shared equally by the tasks of a job
        interface="ib0",  # the network that nodes reach each other by
        job_script_prologue=["source .venv/bin/activate"],
    ) as cluster:
        cluster.scale(jobs=JOBS)
        command = ["benchsuite", "run", *sys.argv[1:], "--scheduler", cluster.scheduler_address]
        sys.exit(subprocess.run(command).returncode)
