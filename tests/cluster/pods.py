"""A server that speaks as much of Kubernetes' API as Snakemake's plugin uses, and runs pods as processes.

A pod is a shell in an empty folder of its own, which goes with it. It shares no files with other pods
but what lies on its volume, a folder that is at the same path for all. Images are not looked at.
"""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml


class Cluster:
    """Jobs and secrets of a namespace; use it in a `with` statement.

    `jobs` holds the specification of each job that was created, in their order.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.jobs: list[dict[str, Any]] = []
        self.secrets: dict[str, dict[str, str]] = {}
        self.pods: dict[str, subprocess.Popen[bytes]] = {}
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = cluster.answer(self.command, self.path, json.loads(body) if body else {})
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815 (names of the base class)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> "Cluster":
        self.folder.mkdir(parents=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{self.server.server_address[1]}"
        configuration = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": address}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(configuration))
        return self

    def __exit__(self, *error: object) -> None:
        self.kill_all()
        self.server.shutdown()
        self.server.server_close()

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig.yaml"

    def kill_all(self) -> None:
        """End all pods at once, as the loss of their nodes does."""
        for name in self.pods:
            self.kill(name)

    def kill(self, name: str) -> None:
        pod = self.pods[name]
        if pod.poll() is None:
            os.killpg(pod.pid, signal.SIGKILL)
            pod.wait()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Return the status and the content of the answer to a request."""
        path, _, query = path.partition("?")
        kind, name, part = re.fullmatch(
            r"/(?:api|apis/batch)/v1/namespaces/default/(\w+)(?:/([^/]+))?(?:/(\w+))?", path
        ).groups()
        if method == "POST" and kind == "secrets":
            self.secrets[body["metadata"]["name"]] = body.get("data") or {}
            return 201, body
        if method == "POST" and kind == "jobs":
            self.jobs.append(body)
            self.start(body)
            return 201, body
        if method == "DELETE":
            if kind in ("jobs", "pods"):
                self.kill(name)
            return 200, {"kind": "Status", "status": "Success"}
        if kind == "pods" and part == "log":
            # As the true server answers: each container is started once.
            if "previous=" in query:
                return 400, {"kind": "Status", "message": "previous terminated container not found"}
            return 200, self.log(name)
        if kind == "pods":
            asked = re.search(r"job-name(?:=|%3D)([\w-]+)", query)[1]
            code = self.pods[asked].poll()
            state = {"running": {}} if code is None else {"terminated": {"exitCode": abs(code)}}
            container = {"name": "snakemake", "state": state, "image": "", "imageID": "", "ready": True}
            status = {"containerStatuses": [container | {"restartCount": 0}]}
            return 200, {"kind": "PodList", "items": [{"metadata": {"name": asked}, "status": status}]}
        code = self.pods[name].poll()
        status = {"active": 1} if code is None else {"failed": 1} if code else {"succeeded": 1}
        return 200, {"kind": "Job", "metadata": {"name": name}, "status": status}

    def start(self, job: dict[str, Any]) -> None:
        """Start the only container of a job."""
        name = job["metadata"]["name"]
        (container,) = job["spec"]["template"]["spec"]["containers"]
        environment = dict(self.environment)
        for variable in container.get("env") or []:
            reference = variable["valueFrom"]["secretKeyRef"]
            value = base64.b64decode(self.secrets[reference["name"]][reference["key"]]).decode()
            environment[variable["name"]] = value
        working_folder = Path(tempfile.mkdtemp(dir=self.folder))
        with open(self.folder / f"{name}.log", "wb") as log:
            self.pods[name] = subprocess.Popen(
                [*container["command"], *container["args"]],
                cwd=working_folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        threading.Thread(target=self.clear, args=(self.pods[name], working_folder), daemon=True).start()

    @staticmethod
    def clear(pod: subprocess.Popen[bytes], working_folder: Path) -> None:
        pod.wait()
        shutil.rmtree(working_folder, ignore_errors=True)
