"""A process that imports the package once, and runs each piece of code in a fork of its own.

    python -m tests.integration_tests.forking_child HEAD

HEAD is code that every piece begins with, and that starts no thread. Every line of standard input is a JSON document
with the code and the file for its output; the answer is a line with the identifier of the fork, and, when it has ended
by itself, another with its exit status. A fork ends as any program does: with what the interpreter waits for at its
end.
"""

import json
import os
import sys
import threading


def answer(number):
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main(head):
    scope = {"__name__": "__main__"}
    exec(head, scope)  # noqa: S102 - our own code
    assert threading.active_count() == 1, "a fork would lack these threads"
    for line in sys.stdin:
        task = json.loads(line)
        child = os.fork()
        if not child:
            output = os.open(task["output"], os.O_WRONLY | os.O_CREAT)
            for stream in (1, 2):
                os.dup2(output, stream)
            exec(task["code"], scope)  # noqa: S102
            return
        answer(child)
        answer(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
