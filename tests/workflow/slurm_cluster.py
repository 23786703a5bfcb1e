"""A real SLURM of one node from Debian's packages, on the loopback interface; needs root.

Its node has two processors and two "GPUs" (``/dev/null`` and ``/dev/zero``) whatever the machine
has, so that jobs that ask for a GPU are given one, and two of them run side by side.
"""

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
ETC = Path("/etc/slurm")  # jobs find it there; SLURM_CONF does not reach their steps
MARK = "# written by kc's tests\n"
CONF = """
ClusterName=kc
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
CredType=cred/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=5,bf_interval=5,batch_sched_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=10000
EnforcePartLimits=ALL
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=32000 Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""
FILES = {
    "gres.conf": "AutoDetect=off\nName=gpu File=/dev/null\nName=gpu File=/dev/zero\n",
    "cgroup.conf": "CgroupAutomount=no\n",
}


def install() -> str:
    """Install missing packages; return the reason if that fails, else an empty text."""
    if os.geteuid() != 0:
        return "starting SLURM's daemons takes root"
    conf = ETC / "slurm.conf"
    if conf.is_file() and not conf.read_text().startswith(MARK):
        return f"{conf}: this machine has a SLURM of its own"
    if all(map(shutil.which, PROGRAMS)):
        return ""
    if shutil.which("apt-get") is None:
        return f"SLURM is not installed and there is no apt-get to install {', '.join(PACKAGES)}"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (("update",), ("install", "-y", "--no-install-recommends", *PACKAGES)):
        done = subprocess.run(
            ["apt-get", "-q", *arguments], env=environment, capture_output=True, text=True
        )
        if done.returncode:
            return f"apt-get {' '.join(arguments)} failed: {(done.stderr or done.stdout)[-300:]}"
    return ""


class Slurm:
    """The cluster, as a context manager that always stops the daemons it started."""

    def __enter__(self) -> "Slurm":
        # one at a time on a machine: the configuration lies in one place
        self.turn = Path(tempfile.gettempdir(), "kc-slurm.lock").open("w")
        fcntl.flock(self.turn, fcntl.LOCK_EX)
        self.root = Path(tempfile.mkdtemp(prefix="kc-slurm-"))
        self.root.chmod(0o755)
        self.daemons: list[subprocess.Popen[bytes]] = []
        try:
            self._configure()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if len(self.daemons) == 3:
                self.run("scancel", "--user=root")
                self._wait(lambda: not self.run("squeue", "--noheader"), 60)
        finally:
            for daemon in reversed(self.daemons):
                daemon.terminate()
                try:
                    daemon.wait(15)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
            for name in ("slurm.conf", *FILES):
                (ETC / name).unlink(missing_ok=True)
            shutil.rmtree(self.root, ignore_errors=True)
            self.turn.close()

    def run(self, *command: str) -> str:
        """Run one of SLURM's commands."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}\n{self.log()}"
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """Return SLURM's record of each recent job; Comment has the rule's name."""
        text = self.run("scontrol", "show", "job", "--detail", "--oneliner")
        lines = [line for line in text.splitlines() if line.startswith("JobId=")]
        return [dict(w.split("=", 1) for w in line.split() if "=" in w) for line in lines]

    def log(self) -> str:
        """Return the ends of the daemons' logs."""
        return "\n".join(path.read_text()[-2000:] for path in sorted(self.root.glob("*.log")))

    def _configure(self) -> None:
        for name in ("munge", "state", "spool"):
            (self.root / name).mkdir(mode=0o755)
        key = self.root / "munge" / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        host = socket.gethostname().split(".")[0]
        ports = {"controller": _free_port(), "node": _free_port()}
        ETC.mkdir(exist_ok=True)
        conf = CONF.format(host=host, root=self.root, **ports)
        for name, text in {"slurm.conf": conf, **FILES}.items():
            (ETC / name).write_text(MARK + text)

    def _start(self) -> None:
        munge = self.root / "munge"
        options = ("socket", "key-file", "pid-file", "seed-file", "log-file")
        names = ("socket", "key", "pid", "seed", "log")
        files = (f"--{o}={munge / n}" for o, n in zip(options, names, strict=True))
        self._daemon("munged", "--foreground", "--force", *files)
        self._wait((munge / "socket").exists, 10)
        self._daemon("slurmctld", "-D", "-c")
        self._daemon("slurmd", "-D", "-c")
        self._wait(
            lambda: self.run("sinfo", "--noheader", "--format=%T").split()[:1] == ["idle"], 30
        )

    def _daemon(self, *command: str) -> None:
        # it ends with us, should we be killed
        guarded = ["setpriv", "--pdeathsig", "TERM", *command]
        with (self.root / f"{command[0]}.out.log").open("w") as out:
            self.daemons.append(subprocess.Popen(guarded, stdout=out, stderr=out))

    def _wait(self, ready, seconds: float) -> None:
        last = time.monotonic() + seconds
        while True:
            try:
                if ready():
                    return
            except AssertionError:
                if time.monotonic() > last:
                    raise
            assert time.monotonic() < last, f"not ready in {seconds} s\n{self.log()}"
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])
