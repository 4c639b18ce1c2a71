"""`make demo`: start everything, tell the story, and stay up on a terminal until Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

from dev.demo import story, tokens
from dev.demo.narrator import Narrator
from dev.oauth.launch import StartError
from dev.testbed import Testbed

_DOES_NOT_HOLD = (AssertionError, subprocess.CalledProcessError)
"""What a check raises, and what kubectl and Helm do when they fail."""


def main() -> int:
    """Exit codes: 0 the story held, 1 a step did not, 130 interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tokens.provider() as provider, Testbed() as testbed:
            return _run(testbed, provider)
    except StartError as error:
        print(f"the demo cannot start its authorization server: {error}", file=sys.stderr)
        return 1
    except _DOES_NOT_HOLD as error:
        print(f"\nFAILED before the story began: {_cause(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; nothing is left behind")
        return 130


def _run(testbed: Testbed, provider: tokens.Provider) -> int:
    say = Narrator(testbed)
    story.seed(testbed)
    tokens.seed(testbed)
    with testbed.operator(**provider.settings()) as operator:
        print("the operator is ready, with the rights that the chart gives it and no more")
        try:
            story.tell(testbed, say)
            tokens.tell(testbed, say, provider)
        except _DOES_NOT_HOLD as error:
            print(f"\nFAILED: {_cause(error)}\n\nthe operator's log ends with:\n{operator.tail()}", file=sys.stderr)
            return 1
        print(f"\nAll of it held, in {say.elapsed():.0f} s.")
        if sys.stdout.isatty():
            _stay(testbed, operator.port)
    return 0


def _cause(error: Exception) -> str:
    """What did not hold, or which program failed, with what it said: that is in the notes."""
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


def _stay(testbed: Testbed, port: int) -> None:
    endpoint = f"--endpoint-url {testbed.aws.endpoint} --region {testbed.aws.region}"
    print(f"""
Everything stays up until Ctrl-C. In another terminal:
  export KUBECONFIG={testbed.plane.kubeconfig}
  kubectl get tc -A -o wide
  kubectl describe tc github -n shop
  kubectl explain toolcredential.spec.target
  curl -s http://127.0.0.1:{port}/status/detailed
  aws secretsmanager list-secrets {endpoint}    (any credentials will do)
""")
    threading.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
