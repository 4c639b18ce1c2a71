"""`python -m dev.controlplane build` and `python -m dev.controlplane up`."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from dev.controlplane import BuildError, ControlPlane, ControlPlaneError, find_or_build, helm, node
from dev.controlplane.gobuild import to_stderr


def main() -> None:
    """Run one command; its result goes to standard output, progress to standard error."""
    parser = argparse.ArgumentParser(prog="python -m dev.controlplane", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build the programs into the cache and print where they are")
    build.add_argument("--helm", action="store_true", help="build Helm and kubeconform too")
    build.add_argument("--node", action="store_true", help="build what a node needs too")
    up = commands.add_parser("up", help="run a control plane until Ctrl-C")
    up.add_argument("--audit", action="store_true", help="log every request")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if arguments.command == "build":
            _build(with_helm=arguments.helm, with_node=arguments.node)
        else:
            _up(audit=arguments.audit)
    except (BuildError, ControlPlaneError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _build(*, with_helm: bool, with_node: bool) -> None:
    print(f"control plane: {find_or_build(to_stderr).kubectl.parent}")
    if with_helm:
        print(f"Helm and kubeconform: {helm(to_stderr).parent}")
    if with_node:
        print(f"node: {node(to_stderr).kubelet.parent}")


def _up(*, audit: bool) -> None:
    with ControlPlane(audit=audit) as plane:
        print(f"export KUBECONFIG={plane.kubeconfig}")
        print(f"export PATH={plane.binaries.kubectl.parent}:$PATH", flush=True)
        to_stderr(f"serving at {plane.url}, logs in {plane.dir}; Ctrl-C ends it")
        while True:
            plane.check()
            time.sleep(1)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
