"""A cluster of one node: the control plane of `dev.controlplane`, and what makes pods run.

Everything runs in namespaces of its own (`namespaces`), so that a machine may have any number of nodes and keeps
nothing of one that is gone. The machine reaches the API server at a port of 127.0.0.1. Nothing inside reaches the
machine, except through ports that are forwarded on purpose.
"""

from __future__ import annotations

import contextlib
import glob
import secrets
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dev.controlplane import Binaries, ControlPlane, files, node
from dev.controlplane.gobuild import GoTools, Progress, built, to_stderr
from dev.controlplane.processes import stop
from dev.node import configs, machine, ociarchive
from dev.node.holder import DIRECTORIES
from dev.node.namespaces import Namespaces, inside, make_cgroups, remove_cgroups

_PAUSE = GoTools(
    name="pause",
    module=Path(__file__).parent / "pause",
    packages={"pause": "tolstoy.dev/dev/node/pause"},
    ldflags="-s -w",
    usual_minutes=1,
)
_SECURE_PORT = 6443
_IMAGES = "k8s.io"  # the containerd namespace that the kubelet looks into


def import_command(holder: int, directory: Path, archive: Path) -> list[str]:
    """The command that gives an image to the node whose first process is `holder`."""
    return inside(holder, directory, *_ctr_command(directory), "images", "import", "--no-unpack", archive)


def run_quietly(command: Sequence[str]) -> str:
    """What the command printed. A failure raises `subprocess.CalledProcessError`, with what it said as a note."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    try:
        done.check_returncode()
    except subprocess.CalledProcessError as error:
        error.add_note(done.stderr.strip())
        raise
    return done.stdout


def _ctr_command(directory: Path) -> list[str]:
    return ["ctr", f"--address={directory}/containerd.sock", f"--namespace={_IMAGES}"]


class NodeCluster(ControlPlane):
    """A Kubernetes cluster with one node. Use it as a context manager, like the control plane that it is.

    - `address`: where pods reach servers that `forward_out` or an own process inside offer
    - `cgroup`: the name of its cgroups
    """

    host = "localhost"  # its certificate has no address of this machine, which its server cannot see
    address = configs.ADDRESS
    _prefix = "tolstoy-node-"
    _authorizers = ("Node", "RBAC")
    _admission_plugins = (*ControlPlane._admission_plugins, "NodeRestriction")
    _controllers = ("*",)

    def __init__(
        self,
        *,
        audit: bool = False,
        crds: Sequence[Path] = (),
        sync: str | None = None,
        binaries: Binaries | None = None,
        progress: Progress = to_stderr,
    ) -> None:
        """`sync` is the kubelet's `syncFrequency`; None leaves it at its default, a minute.

        Raises `MachineError` where no node can run.
        """
        machine.provide(progress)
        self._programs = node(progress)
        self._pause = built(_PAUSE, progress) / "pause"
        super().__init__(audit=audit, crds=crds, binaries=binaries, progress=progress)
        self.cgroup = self.dir.name
        self._progress = progress
        self._sync = sync
        self._namespaces = Namespaces(self.dir)
        self._tokens = {user: secrets.token_urlsafe(24) for user in ("kubelet", "scheduler", "proxy")}
        if any(self.dir.resolve().is_relative_to(path) for path in DIRECTORIES):
            self.dir.rmdir()
            raise machine.MachineError(f"TMPDIR ({tempfile.gettempdir()}) must not be below {', '.join(DIRECTORIES)}")

    def stop(self) -> None:
        """End everything at once; nothing is left of it."""
        self._namespaces.stop()
        remove_cgroups(self.cgroup)
        super().stop()

    @property
    def holder(self) -> int:
        """The process id of its first process, which all others end with."""
        return self._namespaces.pid

    def stop_kubelet(self) -> None:
        """Take the kubelet away, as an upgrade of the node does: containers go on."""
        stop(self._children.pop("kubelet"), grace=10)

    def start_kubelet(self) -> None:
        """Bring the kubelet back, and return when it answers."""
        self._launch("kubelet", self._kubelet_command())
        self._await("kubelet", self._kubelet_serves)

    def forward_out(self, port: int) -> str:
        """Let pods reach this port of 127.0.0.1. Returns the address at which they do, with the port."""
        self._namespaces.forward_out(self.address, port)
        return f"{self.address}:{port}"

    def load(self, archive: Path) -> None:
        """Give the node an image, from a Docker or OCI archive that names it."""
        run_quietly(import_command(self.holder, self.dir, archive))

    def tag_image(self, name: str, another: str) -> None:
        """Give an image that the node has another full name, too."""
        self._ctr("images", "tag", "--force", name, another)

    def container_pids(self, pod_uid: str) -> list[int]:
        """Process ids, as this machine numbers them, of all processes in this pod's containers."""
        pids: set[int] = set()
        listings = f"/sys/fs/cgroup/*/{self.cgroup}/**/pod{pod_uid}/*/cgroup.procs"
        for listing in glob.iglob(listings, recursive=True):  # Path.glob fails when a directory goes meanwhile
            with contextlib.suppress(OSError):
                pids.update(map(int, Path(listing).read_text().split()))
        return sorted(pids)

    # --- starting

    def _start_parts(self) -> None:
        self._progress("a node: namespaces, containerd")
        self._namespaces.start(f"{self.address}/24")
        make_cgroups(self.cgroup)
        self._launch("containerd", ["containerd", f"--config={self.dir}/containerd.toml"])
        self._progress("a node: control plane")
        super()._start_parts()
        self._launch("kube-scheduler", self._scheduler_command())
        self._await("containerd", self._containerd_serves)
        ociarchive.write(self.dir / "pause.tar", name=configs.PAUSE, program=self._pause)
        self.load(self.dir / "pause.tar")
        self._progress("a node: kubelet and kube-proxy")
        self.start_kubelet()
        self._launch("kube-proxy", [self._programs.kube_proxy, f"--config={self.dir}/proxy.json"])
        self._await("kubelet", self._is_ready)

    def _write_files(self) -> None:
        super()._write_files()
        plugins = machine.cni_directory()
        assert plugins is not None
        files.write_client_certificate(
            self.dir / "kubelet-client.crt", self.dir / "kubelet-client.key", user="apiserver", group="system:masters"
        )
        (self.dir / "containerd.toml").write_text(configs.containerd(self.dir, plugins))
        (self.dir / "cni").mkdir()
        files.write_json(self.dir / "cni" / "pods.conflist", configs.network(self.dir))
        files.write_json(self.dir / "kubelet.json", configs.kubelet(self.dir, cgroup=self.cgroup, sync=self._sync))
        files.write_json(self.dir / "proxy.json", configs.proxy(self.dir))
        (self.dir / "resolv.conf").touch()

    @property
    def _inner_url(self) -> str:
        return f"https://localhost:{_SECURE_PORT}"

    def _write_kubeconfigs(self) -> None:
        super()._write_kubeconfigs()
        for user, token in self._tokens.items():
            path = self.dir / f"{user}.kubeconfig"
            files.write_kubeconfig(path, url=self._inner_url, ca_file=self.ca_file, token=token)
        binding = ("create", "clusterrolebinding", "node-proxier", "--clusterrole=system:node-proxier")
        self.kubectl(*binding, "--user=system:kube-proxy")

    def _users(self) -> dict[str, tuple[str, str]]:
        return super()._users() | {
            f"system:node:{configs.NODE}": (self._tokens["kubelet"], "system:nodes"),
            "system:kube-scheduler": (self._tokens["scheduler"], ""),
            "system:kube-proxy": (self._tokens["proxy"], ""),
        }

    def _launch(self, name: str, command: list[str | Path]) -> None:
        super()._launch(name, list(self._namespaces.inside(*command)))

    def _start_apiserver_on_a_free_port(self) -> None:
        self._port = self._namespaces.forward_in("127.0.0.1", _SECURE_PORT)
        self.start_apiserver()

    def _containerd_serves(self) -> bool:
        with contextlib.suppress(subprocess.CalledProcessError):
            return bool(self._ctr("version"))
        return False

    def _kubelet_serves(self) -> bool:
        return self.kubectl("get", "--raw", f"/api/v1/nodes/{configs.NODE}/proxy/healthz", check=False).returncode == 0

    def _is_ready(self) -> bool:
        wait = ("wait", "--for=condition=Ready", f"node/{configs.NODE}", "--timeout=5s")
        return self.kubectl(*wait, check=False).returncode == 0

    def _ctr(self, *arguments: str) -> str:
        return run_quietly(self._namespaces.inside(*_ctr_command(self.dir), *arguments))

    # --- command lines

    def _apiserver_command(self) -> list[str | Path]:
        return [  # of two equal flags, the last one counts
            *super()._apiserver_command(),
            "--bind-address=0.0.0.0",
            f"--advertise-address={self.address}",
            f"--secure-port={_SECURE_PORT}",
            "--kubelet-client-certificate=kubelet-client.crt",
            "--kubelet-client-key=kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",
        ]

    def _scheduler_command(self) -> list[str | Path]:
        config = "scheduler.kubeconfig"
        return [
            self._programs.kube_scheduler,
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ]

    def _kubelet_command(self) -> list[str | Path]:
        return [
            self._programs.kubelet,
            f"--config={self.dir}/kubelet.json",
            f"--kubeconfig={self.dir}/kubelet.kubeconfig",
            f"--hostname-override={configs.NODE}",
            f"--node-ip={self.address}",
        ]
