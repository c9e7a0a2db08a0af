"""An S3 server for tests: moto on this machine. It checks credentials as S3 does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import wait_until

HOST, REGION = "127.0.0.1", "us-east-1"
ACTIONS = ("create_user", "create_access_key", "put_user_policy", "create_bucket")  # allowed without credentials
POLICY = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
REMOTE = "bucket"
NOWHERE = f"{os.devnull}/none"  # hides the files of the user


@dataclass(frozen=True)
class ObjectStore:
    """A server with one bucket, and one user with read and write access."""

    endpoint: str
    bucket: str
    key: str
    secret: str

    @classmethod
    @contextmanager
    def serve(cls, bucket: str = "triptych") -> Iterator[ObjectStore]:
        """Run the server while the block runs. The content of the bucket is lost afterwards."""
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)],
            env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(len(ACTIONS))},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: answers(port) or server.poll() is not None)
            assert server.poll() is None
            endpoint = f"http://{HOST}:{port}"
            yield cls(endpoint, bucket, **_open_account(endpoint, bucket))
        finally:
            server.terminate()
            server.wait()

    @property
    def credentials(self) -> dict[str, str]:
        """Return the environment variables with the credentials of the user."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",  # no other source of credentials
            "AWS_CONFIG_FILE": NOWHERE,
            "AWS_SHARED_CREDENTIALS_FILE": NOWHERE,
        }

    def configure(self, root: Path, environment: Mapping[str, str], folder: str = "results") -> None:
        """Make the bucket the default remote of a DVC project. No secret is written to the project."""
        place = f"s3://{self.bucket}/{folder}"
        for words in (
            ["remote", "add", "--default", "--force", REMOTE, place],
            ["remote", "modify", REMOTE, "endpointurl", self.endpoint],
        ):
            subprocess.run(["dvc", *words, "--quiet"], cwd=root, env=environment, check=True)

    def names(self, folder: str = "results") -> set[str]:
        """Return the names of the objects in a folder of the bucket."""
        pages = client("s3", self.endpoint, self.key, self.secret).get_paginator("list_objects_v2")
        found = (page.get("Contents", ()) for page in pages.paginate(Bucket=self.bucket, Prefix=f"{folder}/"))
        return {entry["Key"].removeprefix(f"{folder}/") for entries in found for entry in entries}


def client(service: str, endpoint: str, key: str, secret: str) -> Any:
    import boto3

    return boto3.client(
        service, endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret, region_name=REGION
    )


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _open_account(endpoint: str, bucket: str) -> dict[str, str]:
    """Create user and bucket, which must happen before the server checks credentials."""
    accounts = client("iam", endpoint, "nobody", "nothing")
    accounts.create_user(UserName="student")
    made = accounts.create_access_key(UserName="student")["AccessKey"]
    accounts.put_user_policy(UserName="student", PolicyName="all", PolicyDocument=json.dumps(POLICY))
    client("s3", endpoint, "nobody", "nothing").create_bucket(Bucket=bucket)
    return {"key": made["AccessKeyId"], "secret": made["SecretAccessKey"]}
