"""A Slurm of our own on the hosts of a cluster: slurmctld and munged on its head, a slurmd on each host."""
import os
import re
import shutil

from cluster import NETWORK, Cluster, wait_for

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "scontrol", "scancel", "sinfo", "squeue")
PACKAGES = "slurm-wlm munge slurm-wlm-basic-plugins libpmi2-0 libpmi0"
CPUS = 8  # of each host; Slurm believes it

# What is not said here is as Slurm has it; credentials that expire soon let a job start again soon.
CONFIGURATION = """
ClusterName=lockstep
SlurmctldHost=head({network}.100)
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket={shared}/munge.socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
StateSaveLocation={shared}/state
SlurmctldLogFile={shared}/slurmctld.log
SlurmctldPidFile={local}/slurmctld.pid
SlurmdLogFile={shared}/slurmd.%n.log
SlurmdSpoolDir={local}/spool
SlurmdPidFile={local}/slurmd.pid
TmpFS={local}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def reason_for_no_slurm():
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)}; packages of Debian: {PACKAGES}" if missing else None


class Slurm(Cluster):
    """A cluster whose hosts take jobs; `settings` of slurm.conf beside those above."""

    def __init__(self, hosts, **settings):
        super().__init__(hosts)
        self.settings = settings
        try:
            self._start_slurm()
        except BaseException:
            self.close()
            raise

    def _start_slurm(self):
        shared, local = self.place / "shared" / "slurm", self.place / "local"
        folder = self.root / "shared" / "slurm"
        (folder / "state").mkdir(parents=True)
        with open(self.root / "hosts", "a", encoding="ascii") as names:
            names.write(f"{NETWORK}.100 head\n")
        text = CONFIGURATION.format(network=NETWORK, shared=shared, local=local)
        text += "".join(f"{name}={value}\n" for name, value in self.settings.items())
        for number, name in enumerate(self.names, 1):
            text += f"NodeName={name} NodeAddr={NETWORK}.{number} CPUs={CPUS} State=UNKNOWN\n"
        (folder / "slurm.conf").write_text(text)
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o400)
        self.head_output("munged", "--force", *(f"--{what}-file={shared}/munge.{what}" for what in
                                                ("key", "pid", "log", "seed")), f"--socket={shared}/munge.socket")
        self.head_output("slurmctld", "-f", shared / "slurm.conf")
        for name in self.names:
            self.output_on(name, "slurmd", "-N", name, "-f", shared / "slurm.conf")
        wait_for(lambda: self.slurm("sinfo", "-hN", "-t", "idle").count("idle") == len(self.names))

    def slurm(self, *words, **environment):
        """What a command of Slurm prints, called in the folder of the test."""
        environment |= {"SLURM_CONF": self.place / "shared" / "slurm" / "slurm.conf"}
        variables = [f"{name}={value}" for name, value in environment.items()]
        return self.head_output("env", f"--chdir={self.inner_folder}", *variables, *words)

    def submit(self, *words, **environment):
        """Returns the number of the job. The settings of MPI are those of mpirun(), for ranks that share cores."""
        settings = {"btl_tcp_if_include": f"{NETWORK}.0/24", "pml": "ob1", "btl": "tcp,vader,self",
                    "btl_vader_single_copy_mechanism": "none", "mpi_yield_when_idle": 1}
        environment |= {f"OMPI_MCA_{name}": value for name, value in settings.items()}
        return re.search(r"\d+", self.slurm("sbatch", *words, **environment)).group()

    def job(self, number):
        """What Slurm knows of a job: {"JobState": …, "Restarts": …, …}."""
        return dict(word.split("=", 1) for word in self.slurm("scontrol", "show", "job", "-o", number).split()
                    if "=" in word)

    def logs(self):
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}"
                         for path in sorted((self.root / "shared" / "slurm").glob("*.log")))
