"""
The process that is timed. `timing.TimedProcess` starts it: `python timed_process.py FILE ROW`.

FILE defines `prepare(row)`: it gets the row, a dict, and returns a function without arguments, the work to be timed.
The process then reads commands, one per line, and answers each with one line of JSON:

- `run` does the work once: wall and CPU seconds
- `peak`: the peak memory of this process in MB
- `gflop`: the work's floating point operations in units of 1e9, as torch counts them

It needs only the standard library of any Python 3, so that the interpreter of an original program can run it too.
"""

import importlib.util
import json
import math
import os
import resource
import sys
import time


def clock(run):
    """Wall and CPU seconds of one call; the CPU seconds of all threads are added up."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def peak_megabytes():
    """Peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def count_gflop(run):
    from torch import ops
    from torch.utils.flop_counter import FlopCounterMode

    def product(_, first, second, out_shape=None, **kwargs):  # shapes (B, M, K) and (B, K, N)
        return 2 * first[0] * first[1] * first[2] * second[2]

    def convolution(_, *shapes, out_shape=None, **kwargs):  # of the kernel (D, C, k, k), after what is added, if any
        kernel = shapes[1] if len(shapes) > 10 else shapes[0]
        return 2 * math.prod(out_shape) * math.prod(kernel[1:])

    # torch counts neither a product that is added in place nor a convolution whose kernel is packed
    uncounted = {ops.aten.baddbmm_: product, ops.mkldnn._convolution_pointwise: convolution}
    with FlopCounterMode(display=False, custom_mapping=uncounted) as counter:
        run()
    return counter.get_total_flops() / 1e9


def load_file(path):
    """The module in a file, which may import what lies beside it."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec = importlib.util.spec_from_file_location("work", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["work"] = module
    spec.loader.exec_module(module)
    return module


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the work prints must not mix with the answers
    path, row = sys.argv[1:]
    run = load_file(path).prepare(json.loads(row))
    commands = {"run": lambda: clock(run), "peak": peak_megabytes, "gflop": lambda: count_gflop(run)}
    for line in sys.stdin:
        answers.write(json.dumps(commands[line.strip()]()) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
