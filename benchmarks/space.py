"""
What the Space costs: how long it takes to start and to the first mask, its memory, and how it does in a crowd.

    python benchmarks/space.py --clients 20 --seconds 60
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "spaces" / "refseg"
LONGEST_START = 300  # seconds


class RunningSpace:
    """
    The Space as a process of its own, while inside of `with`.

    Args:
        folder: of the Space, `spaces/refseg` or one that was prepared for the Hub.
        environment: variables beside those of this process.
    """

    def __init__(self, folder: Path = FOLDER, environment: dict[str, str] | None = None):
        self.folder, self.environment = folder, environment or {}

    def __enter__(self) -> "RunningSpace":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.temporary = tempfile.TemporaryDirectory()
        self.uploads = Path(self.temporary.name) / "uploads"
        settings = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(self.uploads), "HF_HUB_OFFLINE": "1"}
        self.log = open(Path(self.temporary.name) / "log", "w+")
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=self.folder,
            env={**os.environ, **settings, **self.environment},
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        while not self.answers():
            if self.process.poll() is not None or time.perf_counter() - start > LONGEST_START:
                log = self.read_log()
                self.__exit__()
                raise RuntimeError(f"the Space did not start: {log[-2000:]}")
            time.sleep(0.1)
        self.seconds_to_start = time.perf_counter() - start
        return self

    def __exit__(self, *error) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        self.temporary.cleanup()

    def answers(self) -> bool:
        try:
            return urllib.request.urlopen(self.url, timeout=5).status == 200
        except (urllib.error.URLError, OSError):
            return False

    def read_log(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text()

    def megabytes(self, field: str = "VmRSS") -> float:
        """Resident memory now, or at its peak: "VmHWM"."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process)

    def client(self):
        from gradio_client import Client

        return Client(self.url, verbose=False)


def crowd(url: str, photo: Path, clients: int, seconds: float) -> dict:
    """
    Ask a Space from several clients at once, each as soon as it has its answer.

    Returns:
        `answers` number, `errors` their texts, `median_s` and `p95_s` from question to answer.
    """
    from gradio_client import Client, handle_file

    latencies, errors, everybody_is_here = [], [], threading.Barrier(clients)

    def ask(number: int) -> None:
        client = Client(url, verbose=False)
        everybody_is_here.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            try:
                client.predict(
                    photo=handle_file(str(photo)), expressions=f"the cat\nthe animal {number}", api_name="/segment"
                )
                latencies.append(time.perf_counter() - start)
            except Exception as error:  # whatever goes wrong is what is counted
                errors.append(str(error))

    threads = [threading.Thread(target=ask, args=[number]) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    latencies.sort()
    return {
        "answers": len(latencies),
        "errors": errors,
        "median_s": latencies[len(latencies) // 2] if latencies else float("nan"),
        "p95_s": latencies[int(0.95 * len(latencies))] if latencies else float("nan"),
    }


def cpu_seconds(process: subprocess.Popen) -> float:
    """Of all cores, since the process was started."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes_of(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def measure(folder: Path, clients: int, seconds: float) -> dict:
    """All figures of one start; times beside CPU times, since a busy machine doubles the former."""
    import skimage
    from gradio_client import handle_file

    photo = Path(skimage.__file__).parent / "data" / "chelsea.png"
    installed = Path(sysconfig.get_path("purelib"))
    figures = {
        "load_average": os.getloadavg()[0],
        "space_mb": megabytes_of(folder),
        "installed_mb": megabytes_of(installed),
    }
    with RunningSpace(folder) as space:
        figures |= {
            "start_s": space.seconds_to_start,
            "start_cpu_s": space.cpu_seconds(),
            "start_mb": space.megabytes(),
        }
        client = space.client()
        endpoint = client.view_api(print_info=False, return_format="dict")["named_endpoints"]["/segment"]
        systems = next(one for one in endpoint["parameters"] if one["parameter_name"] == "system")["type"]["enum"]
        for system in systems:
            for expression, turn in (("the red circle", "first"), ("the blue star", "next")):
                start, cpu = time.perf_counter(), space.cpu_seconds()
                client.predict(
                    photo=handle_file(str(photo)), expressions=expression, system=system, api_name="/segment"
                )
                figures[f"{turn} mask of {system}, s"] = time.perf_counter() - start
                figures[f"{turn} mask of {system}, CPU s"] = space.cpu_seconds() - cpu
        figures |= {"systems": len(systems), "all_loaded_mb": space.megabytes()}
        if clients:
            figures |= crowd(space.url, photo, clients, seconds) | {"clients": clients, "seconds": seconds}
        figures |= {"at_end_mb": space.megabytes(), "peak_mb": space.megabytes("VmHWM")}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the Space (%(default)s)")
    parser.add_argument("--clients", type=int, default=20, help="of the crowd, 0: none (%(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="that the crowd stays (%(default)s)")
    options = parser.parse_args()
    figures = measure(options.folder, options.clients, options.seconds)
    print(
        json.dumps({name: round(one, 2) if isinstance(one, float) else one for name, one in figures.items()}, indent=1)
    )


if __name__ == "__main__":
    main()
