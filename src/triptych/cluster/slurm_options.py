"""The options of SLURM jobs, and the submitit executor that submits with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from submitit import Executor

TIMEOUTS = 1000  # how often a job whose time is over is queued again
NOTICE = 120  # seconds before the end of its time at which SLURM signals a job


@dataclass(frozen=True)
class SlurmOptions:
    """The resources of each job."""

    minutes: int
    cores: int
    at_a_time: int
    more: Mapping[str, str | bool]
    """Other options of `sbatch`, by their long names."""

    def executor(self, folder: Path) -> Executor:
        """Return submitit's executor for these options; it keeps its files in `folder`."""
        from submitit import SlurmExecutor

        executor = SlurmExecutor(folder, max_num_timeout=TIMEOUTS)
        executor.update_parameters(
            job_name="triptych",
            time=self.minutes,
            cpus_per_task=self.cores,
            array_parallelism=self.at_a_time,
            signal_delay_s=NOTICE,
            additional_parameters={"requeue": True, **self.more},
        )
        return executor
